"""Kills and concurrency: nothing committed is lost, and no reader ever sees half a commit."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs

from .fakes import FakeEncoder, paint_many

KILLS = 20

# Commits every 8 pictures and reports each commit on a line; the parent kills it somewhere in between.
CHILD = """
import sys, time
import visualsearch as vs
from tests.fakes import FakeEncoder

class Slow(FakeEncoder):
    def encode_images(self, pixels):
        time.sleep(0.002)
        return super().encode_images(pixels)

index = vs.open_or_create(sys.argv[1], Slow())
print("opened", flush=True)
index.add(sys.argv[2], batch=4, commit_rows=8, progress=lambda p: print("committed", p.committed, flush=True))
print("done", flush=True)
"""


def vectors_by_id(index: vs.Index) -> dict[str, bytes]:
    with index.catalog.read() as reader:
        ids = sorted(p.id for p in reader.each_pin())
    return {name: row.tobytes() for name, row in zip(ids, index.vectors(ids), strict=True)}


def test_twenty_kills_at_random_points_then_resume_give_the_index_built_without_kills(tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 600)
    target, rng = tmp_path / "killed.index", random.Random(11)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    kept = 0
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(target), str(tmp_path / "photos")],
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert child.stdout is not None
        lines, reported = rng.randrange(0, 12), 0
        for _ in range(lines):
            line = child.stdout.readline()
            if line.startswith("committed"):
                reported = int(line.split()[1])
            if line.startswith("done") or not line:
                break
        # Somewhere within the work that follows a line, not always right after it.
        threading.Event().wait(rng.random() * 0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if (target / "catalog.sqlite").exists():
            with vs.open(target, FakeEncoder()) as index:
                now = len(index)
                assert now >= kept + reported  # what was reported as committed is there
                assert index.verify() == []
            kept = now
    with vs.open_or_create(target, FakeEncoder()) as index:
        index.add(tmp_path / "photos")
        assert index.verify() == []
        assert not [f for f in target.rglob("*") if f.name.endswith(".tmp")]
        with vs.create(tmp_path / "whole.index", FakeEncoder()) as whole:
            whole.add(tmp_path / "photos")
            assert vectors_by_id(index) == vectors_by_id(whole)
            assert index.search(text="red", k=600).ids == whole.search(text="red", k=600).ids


def _search_until(folder: str, ready: object, stop: object, results: object, stable: list[str]) -> None:
    """Search all the while; every answer must hold all stable pins, and each odd pin together with its partner."""
    index, rounds = vs.open(folder, FakeEncoder()), 0
    ready.release()  # type: ignore[attr-defined]
    try:
        while not stop.is_set():  # type: ignore[attr-defined]
            hits = index.search(text="red", k=1000)
            ids = set(hits.ids)
            assert len(ids) == len(hits) == hits.total
            assert set(stable) <= ids, "a pin that was never touched is missing"
            for name in ids - set(stable):
                partner = name.replace("a-", "b-") if name.startswith("a-") else name.replace("b-", "a-")
                assert partner in ids, "half a commit"
            best = index.search(like=stable[0], include_seeds=True, k=1)[0]
            assert best.id == stable[0]
            assert best.score > 0.999
            rounds += 1
    except BaseException as error:
        results.put(f"{type(error).__name__}: {error}")  # type: ignore[attr-defined]
        raise
    results.put(rounds)  # type: ignore[attr-defined]


def test_two_readers_search_while_a_writer_adds_removes_and_compacts(tmp_path: Path) -> None:
    stable = [p.name for p in paint_many(tmp_path / "stable", 60)]
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    index.add(tmp_path / "stable")
    context = multiprocessing.get_context("spawn")
    ready, stop, results = context.Semaphore(0), context.Event(), context.Queue()
    readers = [
        context.Process(target=_search_until, args=(str(index.folder), ready, stop, results, stable))
        for _ in range(2)
    ]
    for reader in readers:
        reader.start()
    try:
        for _ in readers:
            assert ready.acquire(timeout=60), "a reader did not start"
        deadline = time.monotonic() + 60
        for turn in range(12):
            for side in "ab":
                paint_many(tmp_path / f"turn{turn}" / side, 8, start=1000 + 100 * turn)
            pairs = [
                path.rename(path.parent.parent / f"{side}-{turn}-{path.name}")
                for side in "ab"
                for path in sorted((tmp_path / f"turn{turn}" / side).iterdir())
            ]
            # Each commit holds whole pairs, since a turn is one commit.
            index.add(tmp_path / f"turn{turn}", commit_rows=1000, commit_seconds=1000)
            if turn % 3 == 1:
                index.remove([p.name for p in pairs])
            if turn % 4 == 2:
                index.compact()
            assert time.monotonic() < deadline
    finally:
        stop.set()
    outcomes = [results.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(60)
    assert all(isinstance(o, int) and o >= 3 for o in outcomes), outcomes
    assert index.verify() == []


def test_threads_of_one_process_share_an_index(tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 50)
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    index.add(tmp_path / "photos")
    want = index.search(text="red", k=50).ids
    wrong: list[object] = []

    def search() -> None:
        try:
            for _ in range(20):
                got = index.search(text="red", k=100).ids  # also once there are 70
                if [i for i in got if i in want] != want:
                    wrong.append(got)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    paint_many(tmp_path / "more", 20, start=500)
    index.add(tmp_path / "more")
    index.compact()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index.search(text="red", k=100)) == 70


@pytest.mark.parametrize("crash_at", ["write_segment", "add_segment", "COMMIT"])
def test_a_failure_inside_a_commit_leaves_the_state_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    paint_many(tmp_path / "photos", 24)
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    index.add(tmp_path / "photos")
    paint_many(tmp_path / "more", 10, start=100)
    from visualsearch.indexing import batch
    from visualsearch.store import Writer

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("crash")

    if crash_at == "write_segment":
        monkeypatch.setattr(batch, "write_segment", crash)
    elif crash_at == "add_segment":
        monkeypatch.setattr(Writer, "add_segment", crash)
    else:
        monkeypatch.setattr(batch.Batch, "write", lambda self: crash())
    with pytest.raises(RuntimeError, match="crash"):
        index.add(tmp_path / "more")
    monkeypatch.undo()
    assert len(index) == 24
    assert len(index.search(text="red", k=100)) == 24
    assert index.add(tmp_path / "more").added == 10
    assert index.verify() == []
    np.testing.assert_allclose(np.linalg.norm(index.vectors(["100.png"]), axis=1), 1, atol=1e-3)
