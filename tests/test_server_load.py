"""Under load: batches, bounds, refusals with Retry-After, limits while a body streams, a calm end."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from PIL import Image
from starlette.testclient import TestClient

from visualsearch.server.app import create_app
from visualsearch.server.batching import BatchingEncoder
from visualsearch.server.limits import CLIENTS, Rates
from visualsearch.server.problems import Kind, RefusedError
from visualsearch.server.stores import Store, Uploads
from visualsearch.server.work import Pool

from .fakes import FakeEncoder
from .serving import Speaker, catalogue, png, served, service
from .test_server_api import problem


class Held(Speaker):
    """An encoder that waits until it is let go, and notes its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.entered = threading.Event()
        self.sizes: list[int] = []

    def encode_images(self, pixels: Any) -> Any:
        self.sizes.append(len(pixels))
        self.entered.set()
        assert self.go.wait(20)
        return super().encode_images(pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return catalogue(tmp_path_factory.mktemp("load"), 20)


def squares(count: int) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1, 3, 32, 32), dtype=np.uint8) for _ in range(count)]


def in_a_loop_of_its_own(work: Any) -> None:
    """Run a coroutine in another thread: the browser tests leave their loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


# -- batching -----------------------------------------------------------------------------------------------------
def test_what_waits_while_a_batch_is_encoded_is_encoded_together() -> None:
    inner = Held()
    encoder = BatchingEncoder(inner, batch=4)
    pictures = squares(7)
    with ThreadPoolExecutor(7) as pool:
        first = pool.submit(encoder.encode_images, pictures[0])
        assert inner.entered.wait(20)
        rest = [pool.submit(encoder.encode_images, picture) for picture in pictures[1:]]
        while encoder._jobs.qsize() < 6:
            threading.Event().wait(0.001)
        inner.go.set()
        vectors = [one.result(20) for one in (first, *rest)]
    assert inner.sizes == [1, 4, 2]
    for picture, vector in zip(pictures, vectors, strict=True):
        np.testing.assert_allclose(vector, FakeEncoder().encode_images(picture), atol=1e-6)
    encoder.close()


def test_a_picture_seen_before_is_not_encoded_again() -> None:
    inner = FakeEncoder()
    encoder = BatchingEncoder(inner)
    (picture,) = squares(1)
    np.testing.assert_array_equal(encoder.encode_images(picture), encoder.encode_images(picture.copy()))
    np.testing.assert_array_equal(encoder.encode_texts(["red"]), encoder.encode_texts(["red"]))
    assert inner.encoded == 2  # one picture; the fake encodes the word as a picture, too
    encoder.close()


def test_one_query_that_fails_costs_its_neighbours_nothing() -> None:
    inner = Held()
    encoder = BatchingEncoder(inner)
    with ThreadPoolExecutor(4) as pool:
        pool.submit(encoder.encode_images, squares(1)[0])
        assert inner.entered.wait(20)
        bad = pool.submit(encoder.encode_images, np.zeros((1, 5, 32, 32), np.uint8))
        good = pool.submit(encoder.encode_images, squares(2)[1])
        while encoder._jobs.qsize() < 2:
            threading.Event().wait(0.001)
        inner.go.set()
        assert good.result(20).shape == (1, 49)
        with pytest.raises(ValueError, match=r"reshape|dimensions"):
            bad.result(20)
    encoder.close()


def test_an_indexing_batch_passes_whole() -> None:
    inner = Held()
    inner.go.set()
    encoder = BatchingEncoder(inner, batch=4)
    pixels = np.concatenate(squares(9))
    np.testing.assert_allclose(encoder.encode_images(pixels), FakeEncoder().encode_images(pixels))
    assert inner.sizes == [9]
    encoder.close()


# -- bounds -------------------------------------------------------------------------------------------------------
def test_a_full_pool_refuses_at_once_and_takes_again_when_it_has_room() -> None:
    async def scenario() -> None:
        pool, go = Pool("picture", 1, 2), threading.Event()
        running = [asyncio.create_task(pool.run(go.wait, 20)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as caught:
            await pool.run(lambda: None)
        assert caught.value.kind is Kind.BUSY
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 1
        assert (pool.pending, pool.refused) == (2, 1)
        go.set()
        assert await asyncio.gather(*running) == [True, True]
        assert await pool.run(lambda: 7) == 7
        assert pool.pending == 0
        pool.close()

    in_a_loop_of_its_own(scenario())


def test_a_request_that_is_given_up_frees_its_place() -> None:
    async def scenario() -> None:
        pool, go = Pool("picture", 1, 2), threading.Event()
        first = asyncio.create_task(pool.run(go.wait, 20))
        waiting = asyncio.create_task(pool.run(go.wait, 20))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert pool.pending == 1
        go.set()
        assert await first is True
        pool.close()

    in_a_loop_of_its_own(scenario())


def test_overload_is_answered_429_with_retry_after_and_everything_else_is_answered(folder: Path) -> None:
    inner = Held()
    inner.go.set()
    made = service(folder, inner, queue=3)
    with TestClient(create_app(made)) as client, ThreadPoolExecutor(12) as pool:
        while not made.ready.is_set():
            threading.Event().wait(0.001)
        inner.go.clear()
        pictures = [png("red", (64 + at, 48)) for at in range(12)]
        answers = [
            pool.submit(client.post, "/search", content=p, headers={"Content-Type": "image/png"})
            for p in pictures
        ]
        while made.pictures.refused < 9:
            threading.Event().wait(0.001)
        assert (
            client.get("/search?like=m/07&k=1").status_code == 200
        )  # light queries do not wait behind pictures
        assert client.get("/healthz").status_code == 200
        inner.go.set()
        found = [answer.result(20) for answer in answers]
    assert sorted(answer.status_code for answer in found) == [200] * 3 + [429] * 9
    for answer in found:
        if answer.status_code == 429:
            problem(answer, Kind.BUSY)
            assert int(answer.headers["retry-after"]) >= 1


def test_stores_hold_no_more_bytes_than_they_may_and_drop_the_longest_unused() -> None:
    store: Store[str, bytes] = Store(10, len)
    store.put("a", b"1234")
    store.put("b", b"1234")
    assert store.get("a") == b"1234"
    store.put("c", b"123")
    assert (store.get("b"), store.get("a"), store.get("c")) == (None, b"1234", b"123")
    store.put("d", b"x" * 11)
    assert store.get("d") is None
    store.put("a", b"1")
    assert store.bytes == 4


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_store_keeps_its_bound_while_many_threads_use_it(seconds: float | None) -> None:
    store: Store[int, bytes] = Store(1000, len, seconds)

    def work(seed: int) -> None:
        for step in range(2000):
            key = (seed * 31 + step * 7) % 50
            store.put(key, bytes([key]) * (key + 1))
            assert store.bytes <= 1000
            found = store.get((key + 3) % 50)
            assert found is None or found == bytes([(key + 3) % 50]) * len(found)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    kept = [found for key in range(50) if (found := store.get(key)) is not None]
    assert sum(map(len, kept)) == store.bytes <= 1000
    assert len(kept) == len(store)


def test_uploads_are_forgotten_after_a_while() -> None:
    now = [0.0]
    uploads = Uploads(1000, 60)
    uploads.store = Store(1000, len, 60, clock=lambda: now[0])
    name = uploads.keep(b"picture")
    now[0] = 59
    assert uploads.get(name) == b"picture"
    now[0] = 118
    assert uploads.get(name) == b"picture"  # using it keeps it
    now[0] = 179
    with pytest.raises(RefusedError, match="Upload it again"):
        uploads.get(name)
    assert uploads.store.bytes == 0


def test_rates_hold_each_client_to_its_own_pace_and_forget_the_silent() -> None:
    now = [0.0]
    rates = Rates(2, 3, clock=lambda: now[0])
    assert [rates.wait("a") for _ in range(3)] == [0, 0, 0]
    assert rates.wait("a") == pytest.approx(0.5)
    assert rates.wait("b") == 0
    now[0] = 0.5
    assert rates.wait("a") == 0
    assert rates.wait("a") > 0
    for number in range(CLIENTS + 5):
        rates.wait(str(number))
    assert len(rates._clients) == CLIENTS
    assert all(Rates(0, 1).wait("x") == 0 for _ in range(9))


def test_a_client_that_is_too_fast_is_answered_429(folder: Path) -> None:
    with TestClient(create_app(service(folder, rate=0.01, burst=2))) as client:
        assert [client.get("/healthz").status_code for _ in range(2)] == [200, 200]
        answer = client.get("/healthz")
        problem(answer, Kind.RATE)
        assert int(answer.headers["retry-after"]) > 1


# -- over a real connection ---------------------------------------------------------------------------------------
def raw(address: str, data: bytes, shut: bool = False) -> bytes:
    """Send bytes as they are, and read until the server closes."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as line:
        line.sendall(data)
        if shut:
            line.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := line.recv(65_536):
            got += chunk
    return got


def head(path: str, length: int | str, kind: str = "image/png") -> bytes:
    size = f"Content-Length: {length}" if isinstance(length, int) else f"Transfer-Encoding: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n{size}\r\n\r\n".encode()


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    start, _, body = answer.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(body)


def test_limits_hold_while_a_body_streams(folder: Path) -> None:
    with served(service(folder, max_body=5000, body_seconds=0.3)) as address:
        status, body = parsed(
            raw(address, head("/uploads", 200_000_000))
        )  # refused before a byte of it is read
        assert (status, body["type"]) == (413, "/docs#too-large")
        chunked = head("/uploads", "chunked") + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 2
        status, body = parsed(raw(address, chunked))
        assert (status, body["type"]) == (413, "/docs#too-large")
        status, body = parsed(raw(address, head("/search", 4000) + b"only the beginning"))
        assert (status, body["type"]) == (408, "/docs#too-slow")
        raw(address, head("/search", 4000) + b"and gone", shut=True)  # the client leaves in the middle
        status, body = parsed(raw(address, head("/search", 2, "application/json") + b"{}"))
        assert (status, body["type"]) == (422, "/docs#bad-request")


def test_a_server_that_is_told_to_stop_finishes_what_runs(folder: Path) -> None:
    import httpx

    inner = Held()
    inner.go.set()
    made = service(folder, inner)
    with ThreadPoolExecutor(1) as pool:
        with served(made, timeout_graceful_shutdown=20) as address:
            while not made.ready.is_set():
                threading.Event().wait(0.001)
            inner.go.clear()
            inner.entered.clear()
            answer = pool.submit(
                httpx.post, f"{address}/search?k=1", content=png("red", (99, 99)), timeout=20
            )
            assert inner.entered.wait(20)
            threading.Timer(0.1, inner.go.set).start()
        assert answer.result(20).status_code == 200
        assert answer.result(20).json()["hits"][0]["id"] == "colours/red"


def test_searches_go_on_while_the_index_is_compacted(folder: Path, tmp_path: Path) -> None:
    import visualsearch as vs

    folder = catalogue(tmp_path, 30)
    with TestClient(create_app(service(folder))) as client, vs.open(folder, Speaker()) as other:
        stop = threading.Event()
        statuses: list[int] = []

        def ask() -> None:
            while not stop.is_set():
                statuses.append(client.get("/search?text=red&k=3").status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        for number in range(5, 15):
            other.remove([f"m/{number:02d}"])
            other.compact()
        stop.set()
        thread.join(20)
    assert set(statuses) == {200}


def test_the_encoder_is_given_back_its_thread(folder: Path) -> None:
    made = service(folder)
    picture = Image.new("RGB", (64, 64))
    made.encoder.preprocess(picture)
    made.close()
    assert not made.encoder._thread.is_alive()


def test_a_server_multiplies_on_one_core_unless_the_environment_says_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from threadpoolctl import ThreadpoolController

    from visualsearch.server.threads import VARIABLES, one_core_a_product

    def threads() -> list[int]:
        libraries = ThreadpoolController().lib_controllers
        return [
            each.num_threads for each in libraries if each.user_api == "blas" and "numpy" in each.filepath
        ]

    before = threads()
    try:
        monkeypatch.setenv(VARIABLES[0], "2")
        assert not one_core_a_product()
        assert threads() == before
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        assert one_core_a_product()
        assert threads() == [1]
    finally:
        for each in ThreadpoolController().lib_controllers:
            if each.user_api == "blas" and "numpy" in each.filepath:
                each.set_num_threads(before[0])
