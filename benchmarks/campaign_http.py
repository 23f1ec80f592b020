"""A server that the fault campaign kills, and the clients that write to it."""

from __future__ import annotations

import io
import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from campaign_work import BATCH, PERSONS, Mosaic, Say, passing, picture

import visualsearch as vs
from visualsearch.server.app import create_app, open_service
from visualsearch.server.keys import FILE, Scope, new_key
from visualsearch.server.settings import Settings


def serve(folder: Path, port: int, say: Say) -> None:
    """Serve the index of a campaign until the process is killed; says its address with two keys once it answers."""
    import uvicorn

    index = folder / "pins.index"
    vs.open_or_create(index, Mosaic()).close()
    write, act = (new_key(index / FILE, scope, 1.0) for scope in (Scope.WRITE, Scope.ACT))
    made = open_service(index, replace(Settings(), rate=0, event_rate=0, upkeep_seconds=0.2), Mosaic())
    server = uvicorn.Server(uvicorn.Config(create_app(made), port=port, log_level="critical"))

    def tell() -> None:
        while not server.started:
            time.sleep(0.01)
        say(f"http://127.0.0.1:{port} {write} {act}")

    threading.Thread(target=tell, daemon=True).start()
    server.run()


def posted(address: str, name: str, say: Say, goes: Callable[[], bool], kill: Callable[[], None]) -> None:
    """Write to the server from three threads until the time is over, then kill it while they write."""
    base, write, act = address.split(" ")
    jobs: list[Callable[[httpx.Client, str, Say], None]] = [_pins, _saves, _events]
    keys = (write, act, act)
    threads = [
        threading.Thread(target=_until_dead, args=(job, base, key, f"{name}{job.__name__}", say))
        for job, key in zip(jobs, keys, strict=True)
    ]
    for thread in threads:
        thread.start()
    while goes() and any(thread.is_alive() for thread in threads):
        time.sleep(0.005)
    kill()
    for thread in threads:
        thread.join()


def _until_dead(
    job: Callable[[httpx.Client, str, Say], None], base: str, key: str, name: str, say: Say
) -> None:
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        try:
            for n in itertools.count():
                job(client, f"{name}x{n}", say)
        except httpx.HTTPError:
            return
        except Exception as error:  # what the server answered was wrong
            say(f"! {type(error).__name__}: {error}")


def _expect(answer: Any, *codes: int) -> bool:
    """Whether it was done. Raises RuntimeError where the server failed."""
    if answer.status_code >= 500 and answer.status_code != 507:
        raise RuntimeError(f"answered {answer.status_code}: {answer.text[:200]}")
    return answer.status_code in codes


def _pins(client: httpx.Client, name: str, say: Say) -> None:
    for n in range(BATCH):
        pin, data = f"{name}-{n}.png", io.BytesIO()
        picture(int.from_bytes(pin.encode(), "big") % 2**63).save(data, "PNG")
        say(f"? pin {pin}")
        put = client.put(f"/pins/{pin}", content=data.getvalue(), headers={"Content-Type": "image/png"})
        if _expect(put, 200, 201):
            say(f"+ pin {pin}")
    say(f"? gone {name}-0.png")
    if _expect(client.delete(f"/pins/{name}-0.png"), 204):
        say(f"+ gone {name}-0.png")


def _some(client: httpx.Client) -> list[str]:
    pins = client.get("/pins", params={"k": 20, "offset": random.randrange(3)}).json()
    found = [pin["id"] for pin in pins.get("hits", pins.get("pins", []))]
    return [pin for pin in found if not passing(pin)]


def _saves(client: httpx.Client, name: str, say: Say) -> None:
    for n, pin in enumerate(_some(client)[:4]):
        person = f"p{n % PERSONS}"
        say(f"? save {person} {pin}")
        saved = client.post("/saves", json={"pin": pin, "board": "Kept"}, params={"person": person})
        if _expect(saved, 200, 201):
            say(f"+ save {person} {pin}")


def _events(client: httpx.Client, name: str, say: Say) -> None:
    pins = _some(client) or ["nothing"]
    batch = [
        {"event_id": f"a{name}-{n}", "kind": "click", "person": f"p{n % PERSONS}", "pin": pins[n % len(pins)]}
        for n in range(8)
    ]
    for _ in range(2):  # it is sent twice, as a client does that heard no answer
        answer = client.post("/events", json={"events": batch})
        if _expect(answer, 202):
            for verdict in answer.json()["verdicts"]:
                if verdict["status"] in ("accepted", "duplicate"):
                    say(f"+ event {verdict['event_id']}")
