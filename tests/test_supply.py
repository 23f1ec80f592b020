"""What ships is what was meant to ship."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
SHIPPED = (".onnx", ".json", ".toml", ".npz", ".npy", ".bin", ".safetensors")


def listed() -> dict[str, str]:
    """Name -> sum, as models/SHA256SUMS has them."""
    lines = (MODELS / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def test_every_bundled_file_has_the_sum_that_is_written_down() -> None:
    for name, digest in listed().items():
        found = hashlib.sha256((MODELS / name).read_bytes()).hexdigest()
        assert found == digest, f"{name}: after a deliberate change write its sum into models/SHA256SUMS"


def test_no_bundled_file_is_without_a_sum() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "."], cwd=MODELS, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    shipped = {name for name in tracked if name.endswith(SHIPPED) and "/train/" not in name}
    assert shipped == set(listed())


def test_no_file_of_ours_loads_code_from_data() -> None:
    """Pickles, evaluated texts and shells are ways in."""
    ways = re.compile(
        r"\bpickle\.loads?\(|allow_pickle=True|(?<![\w.])eval\(|(?<![\w.])exec\(|shell=True|yaml\.load\("
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "visualsearch").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if ways.search(line)
    ]
    assert found == []
