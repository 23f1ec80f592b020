"""`visualsearch serve` and `visualsearch extension`: keys, refusals, a real start and a clean stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

import visualsearch as vs
from visualsearch.samples import samples_dir


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sample pins, by the bundled encoder."""
    path = tmp_path_factory.mktemp("cli") / "pins.index"
    with vs.create(path) as index:
        index.add(
            [
                samples_dir() / f"pins/{name}.jpg"
                for name in ("animals/duck", "plants/daffodil", "tools/hammer")
            ]
        )
    return path


def test_a_new_key_is_printed_once_and_kept_as_a_hash(folder: Path, tmp_path: Path, run: Any) -> None:
    with vs.create(tmp_path / "own.index"):
        pass
    code, out, err = run("serve", tmp_path / "own.index", "--new-key", "write", "--days", "7")
    assert code == 0
    assert out.startswith("vs_")
    (entry,) = json.loads((tmp_path / "own.index" / "keys.json").read_text())
    assert entry["scope"] == "write"
    assert entry["expires"] - entry["created"] == pytest.approx(7 * 86_400)
    assert out.strip() not in json.dumps(entry) + err


def test_no_key_no_network(folder: Path, run: Any) -> None:
    code, out, err = run("serve", folder, "--host", "0.0.0.0", "--port", "0")
    assert (code, out) == (2, "")
    assert "there is no API key" in err
    assert "--new-key read" in err


def test_what_is_no_index_is_neither_served_nor_given_a_key(tmp_path: Path, run: Any) -> None:
    for words in ((), ("--new-key", "read")):
        code, _, err = run("serve", tmp_path, *words)
        assert code == 2
        assert "is not an index" in err
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_said_so(folder: Path, run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = run("serve", folder, "--port", taken.getsockname()[1])
    assert code == 2
    assert "the address is taken" in err


def test_it_serves_searches_and_stops_on_sigterm(folder: Path) -> None:
    command = [sys.executable, "-m", "visualsearch", "serve", str(folder), "--port", "0"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        address = line.split(" at ")[1].split()[0]
        assert address.startswith("http://127.0.0.1:")
        picture = (samples_dir() / "pins/plants/daffodil.jpg").read_bytes()
        asked = Request(f"{address}search?k=1", picture, {"Content-Type": "image/jpeg"})
        with urlopen(asked, timeout=60) as answer:
            (hit,) = json.load(answer)["hits"]
        assert hit["score"] > 0.99
        with urlopen(f"{address}", timeout=60) as page:
            assert b"<title>visualsearch</title>" in page.read()
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)
    assert server.stderr.read() == ""


def test_the_extension_is_written_for_its_server(tmp_path: Path, run: Any) -> None:
    code, out, err = run("extension", "--to", tmp_path / "made", "--server", "http://127.0.0.1:8123")
    assert code == 0
    assert out.strip() == str((tmp_path / "made").resolve())
    assert "8123" in err
    assert "8123" in (tmp_path / "made" / "config.js").read_text()
    code, _, err = run("extension", "--to", tmp_path / "other", "--server", "nowhere")
    assert code == 2
    assert "is no server's address" in err


def test_the_extension_for_firefox_has_a_manifest_of_its_own(tmp_path: Path, run: Any) -> None:
    code, _, err = run("extension", "--to", tmp_path / "fox", "--firefox")
    assert (code, "about:debugging" in err) == (0, True)
    assert run("extension", "--to", tmp_path / "chrome")[0] == 0
    fox, chrome = (
        json.loads((tmp_path / name / "manifest.json").read_text(encoding="utf-8"))
        for name in ("fox", "chrome")
    )
    assert chrome["background"] == {"service_worker": "background.js", "type": "module"}
    assert fox["background"] == {"scripts": ["background.js"], "type": "module"}
    assert fox["sidebar_action"]["default_panel"] == chrome["side_panel"]["default_path"] == "panel.html"
    assert set(fox) & {"key", "minimum_chrome_version", "side_panel"} == set()
    assert set(chrome["permissions"]) - set(fox["permissions"]) == {"sidePanel"}
    assert fox["host_permissions"] == chrome["host_permissions"] == ["http://127.0.0.1:8000/*"]
    assert "upgrade-insecure-requests" not in fox["content_security_policy"]["extension_pages"]
    gecko = fox["browser_specific_settings"]["gecko"]
    assert gecko["id"].count("@") == 1
    assert gecko["data_collection_permissions"] == {"required": ["websiteContent"]}
    for manifest, folder in ((fox, "fox"), (chrome, "chrome")):
        named = [manifest["options_ui"]["page"], *manifest["icons"].values(), "background.js", "panel.html"]
        assert all((tmp_path / folder / name).is_file() for name in named)


def test_the_extension_is_written_over_an_extension_of_its_own_only(tmp_path: Path, run: Any) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    own = tmp_path / "own"
    assert run("extension", "--to", own)[0] == 0
    assert run("extension", "--to", own, "--server", "http://127.0.0.1:9000")[0] == 0  # again is fine
    assert "9000" in (own / "config.js").read_text()

    kept = {"manifest.json": '{"name": "my web app"}', "background.js": "mine", "config.js": "mine"}
    for name, text in kept.items():
        (theirs / name).write_text(text)
    code, _, err = run("extension", "--to", theirs)
    assert (code, "is not an extension that was written here" in err) == (2, True)
    assert {path.name: path.read_text() for path in theirs.iterdir()} == kept

    (own / "notes.txt").write_text("mine")
    code, _, err = run("extension", "--to", own)
    assert (code, "notes.txt" in err) == (2, True)
    (own / "notes.txt").unlink()

    outside = tmp_path / "outside.js"
    outside.write_text("mine")
    (own / "panel.js").unlink()
    (own / "panel.js").symlink_to(outside)
    assert run("extension", "--to", own)[0] == 0
    assert outside.read_text() == "mine"
    assert not (own / "panel.js").is_symlink()


def test_a_damaged_key_file_is_said_at_the_start_and_left_as_it_is(tmp_path: Path, run: Any) -> None:
    with vs.create(tmp_path / "own.index"):
        pass
    path = tmp_path / "own.index" / "keys.json"
    path.write_text('{"half": ')
    for words in ((), ("--new-key", "read"), ("--host", "0.0.0.0")):
        code, out, err = run("serve", tmp_path / "own.index", *words)
        assert (code, out) == (2, "")
        assert "it is not a list of keys" in err
        assert path.read_text() == '{"half": '


def test_a_proxy_that_is_no_address_is_refused_at_the_start(folder: Path, run: Any) -> None:
    code, _, err = run("serve", folder, "--trust-proxy", "proxy.example")
    assert code == 2
    assert "no IP address or network" in err


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost"])
def test_it_answers_at_any_address_of_the_loopback(folder: Path, host: str) -> None:
    command = [sys.executable, "-m", "visualsearch", "serve", str(folder), "--port", "0", "--host", host]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split(" at ")[1].split()[0]
        assert address.startswith(f"http://{host}:")
        with urlopen(f"{address}info", timeout=60) as answer:
            assert json.load(answer)["pins"] == 3
        origin = Request(
            f"{address}search", b"{}", {"Content-Type": "application/json", "Origin": "http://["}
        )
        with pytest.raises(HTTPError) as refused:
            urlopen(origin, timeout=60)
        assert refused.value.code == 403
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)
