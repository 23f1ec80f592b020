"""ONNX Runtime keeps no id of the machine and sends nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import visualsearch

CHILD = """
import json, os, sys
seen, asked = [], []

def hook(event, details):
    if event == "import" and details[0] == "onnxruntime":
        seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
    if event.startswith("socket."):
        asked.append(event)

sys.addaudithook(hook)
from PIL import Image
from visualsearch.encoders import load_encoder
from visualsearch.look.proposals import FINDER, load_finder
picture = Image.new("RGB", (64, 48), (200, 30, 30))
encoder = load_encoder("bundled")
encoder.encode_images(encoder.preprocess(picture)[None])
load_finder(FINDER)(picture)
links = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}")] \
    if os.path.isdir("/proc/self/fd") else []
print(json.dumps({"seen": seen, "asked": asked, "sockets": [link for link in links if link.startswith("socket:")]}))
"""
# What ONNX Runtime itself takes for a reason to keep silent must not be why it does.
LOUD = (
    "CI",
    "TF_BUILD",
    "GITHUB_ACTIONS",
    "ORT_RUNNING_UNIT_TESTS",
    "ORT_DISABLE_TELEMETRY",
    "ORT_TELEMETRY_DISABLED",
)


def alone(home: Path, code: str) -> str:
    """What a child prints that has a home of its own, and nobody who would keep ONNX Runtime from reporting."""
    places = {
        name: str(home / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TMPDIR")
    }
    for place in places.values():
        Path(place).mkdir()
    package = str(Path(visualsearch.__file__).parents[1])
    kept = {name: value for name, value in os.environ.items() if name not in LOUD}
    environment = {**kept, **places, "HOME": str(home), "PYTHONPATH": package}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_running_the_bundled_models_leaves_no_file_behind_and_opens_no_socket(tmp_path: Path) -> None:
    told = json.loads(alone(tmp_path, CHILD))
    assert told == {"seen": ["1"], "asked": [], "sockets": []}
    assert [
        path for path in tmp_path.rglob("*") if "onnx" in str(path).lower() or "Microsoft" in str(path)
    ] == []


@pytest.mark.parametrize("said", ["0", "1", ""])
def test_it_is_off_whatever_the_environment_says_before(tmp_path: Path, said: str) -> None:
    code = (
        f"import os; os.environ['ORT_DISABLE_TELEMETRY'] = {said!r}\n"
        "from visualsearch import onnx; onnx.runtime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    assert alone(tmp_path, code) == "1\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
