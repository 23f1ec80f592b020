"""A small catalogue and a server over it, for the tests of the server."""

from __future__ import annotations

import csv
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

import visualsearch as vs
from visualsearch.server.app import create_app, open_service
from visualsearch.server.service import Service
from visualsearch.server.settings import Settings
from visualsearch.types import Float32

from .fakes import COLORS, FakeEncoder, paint

LOCAL = Settings(hosts=("testserver", "localhost", "127.0.0.1", "::1"), rate=0)
PINS = 60


class Speaker(FakeEncoder):
    """Takes any words: those that name no colour mean black."""

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        return super().encode_texts([text if text in COLORS else "black" for text in texts])


def catalogue(folder: Path, pins: int = PINS) -> Path:
    """An index of `pins` pictures: five of one colour each ("colours/red" ...), the others mosaics ("m/07")."""
    rows = []
    for name in COLORS:
        paint(folder / "pictures" / f"{name}.png", name)
        rows.append([f"colours/{name}", f"pictures/{name}.png", f"Plain {name}", "plain", len(rows) + 0.5])
    for number in range(len(rows), pins):
        paint(folder / "pictures" / f"{number:03d}.png", number, (64, 48) if number % 2 else (48, 64))
        kind = "odd" if number % 2 else "even"
        rows.append(
            [f"m/{number:02d}", f"pictures/{number:03d}.png", f"Mosaic {number}", kind, float(number)]
        )
    with (folder / "pins.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "title", "category", "price"])
        writer.writerows(rows)
    index = vs.create(folder / "pins.index", Speaker())
    index.add(folder / "pins.csv")
    index.close()
    return folder / "pins.index"


def service(folder: Path, encoder: Any = None, **changes: Any) -> Service:
    return open_service(folder, replace(LOCAL, **changes), encoder or Speaker())


def png(color: str, size: tuple[int, int] = (64, 48)) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, COLORS[color]).save(out, "PNG")
    return out.getvalue()


def halves(left: str, right: str) -> bytes:
    """A picture whose left half has one colour and whose right half another."""
    picture = Image.new("RGB", (128, 64), COLORS[left])
    picture.paste(COLORS[right], (64, 0, 128, 64))
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@contextmanager
def served(made: Service, **config: Any) -> Iterator[str]:
    """A real server on a free port of the loopback; its address."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(made), log_level="error", access_log=False, **config))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
    assert not thread.is_alive()
