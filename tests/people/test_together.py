"""Beyond one machine, all at once: Ray embeds, Milvus answers, PostgreSQL keeps people, two servers stand behind nginx."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

import visualsearch as vs
from visualsearch.adapters.milvus import MilvusIndex
from visualsearch.people import open_people
from visualsearch.server.keys import FILE, Scope, new_key

from ..fakes import paint_many
from .postgres import cluster

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream servers {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://servers;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_connect_timeout 2s;
      # Saves and events are idempotent, so another server may be asked again.
      proxy_next_upstream error timeout non_idempotent;
    }}
  }}
}}
"""


def free_port() -> int:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def visualsearch(*words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "visualsearch", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "it did not come to hold within two minutes"
        time.sleep(0.1)


class Servers:
    """Servers of one index that share the record of people."""

    def __init__(self, index: Path, record: str, count: int) -> None:
        self.index, self.record = index, record
        self.ports = [free_port() for _ in range(count)]
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, port: int) -> None:
        words = ["serve", self.index, "--port", port, "--people", self.record, "--trust-proxy", "127.0.0.1"]
        self.running[port] = subprocess.Popen(
            [sys.executable, "-m", "visualsearch", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self, port: int) -> None:
        self.running[port].send_signal(signal.SIGKILL)
        self.running[port].wait()

    def stop(self) -> None:
        for server in self.running.values():
            server.kill()
            server.wait()


@contextmanager
def balanced(folder: Path, ports: list[int]) -> Iterator[str]:
    """nginx before servers; its address."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(nginx).exists():
        raise RuntimeError(
            "this test needs nginx. Debian: apt-get install nginx-light; macOS: brew install nginx"
        )
    port = free_port()
    folder.mkdir()
    folder.chmod(0o755)
    servers = " ".join(f"server 127.0.0.1:{each} max_fails=1 fail_timeout=2s;" for each in ports)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, servers=servers, port=port))
    process = subprocess.Popen(
        [nginx, "-c", str(config), "-p", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_ray_milvus_postgresql_and_two_servers_behind_nginx(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    photos, index = tmp_path / "photos", tmp_path / "pins.index"
    query = paint_many(photos, 40)[7]
    visualsearch("embed", photos, "--to", tmp_path / "embeddings", "--ray", "local")
    visualsearch("index", tmp_path / "embeddings", "--to", index)
    visualsearch("export", index, "--to", tmp_path / "pins.db", "--collection", "pins")
    with vs.open(index) as opened:
        wanted = [hit.id for hit in opened.search(image=query, k=5)]
    with MilvusIndex(str(tmp_path / "pins.db"), "pins") as far:
        assert [hit.id for hit in far.search(image=query, k=5)] == wanted
    key = new_key(index / FILE, Scope.ACT)
    with cluster() as database:
        address = database.database("together")
        servers = Servers(index, address, 2)
        try:
            for port in servers.ports:
                servers.start(port)
            with balanced(tmp_path / "nginx", servers.ports) as front:
                for port in servers.ports:
                    until(lambda port=port: answers(f"http://127.0.0.1:{port}"))
                _used(front, key, wanted, servers)
        finally:
            servers.stop()
        with open_people(index, address) as people:
            told = people.export("ada")
            assert sorted(save["pin_id"] for save in told["saves"]) == sorted(wanted)
            assert sorted(e["event_id"] for e in told["events"] if e["kind"] == "click") == [
                f"e{n:02d}" for n in range(40)
            ]
            assert people.verify() == []


def _used(front: str, key: str, pins: list[str], servers: Servers) -> None:
    """People save and click through nginx, while one server dies and comes back."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=front, headers=headers, params={"person": "ada"}, timeout=60) as web:
        for n, pin in enumerate(pins):
            assert web.post("/saves", json={"pin": pin, "board": "Kitchen"}).status_code in (200, 201)
            if n == 1:
                servers.kill(servers.ports[0])
        for start in range(0, 40, 10):
            batch = [
                {"event_id": f"e{n:02d}", "kind": "click", "person": "ada", "pin": pins[n % len(pins)]}
                for n in range(start, start + 10)
            ]
            for _ in range(2):  # sent twice, as after an answer that was lost
                assert web.post("/events", json={"events": batch}).status_code == 202
            if start == 10:
                servers.start(servers.ports[0])
                until(lambda: answers(f"http://127.0.0.1:{servers.ports[0]}"))
        for port in servers.ports:  # both know what the other was told
            seen = httpx.get(
                f"http://127.0.0.1:{port}/saves",
                headers=headers,
                params={"person": "ada", "k": 50},
                timeout=60,
            )
            assert {save["pin"] for save in seen.json()["saves"]} == set(pins)
