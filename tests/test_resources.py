"""What a process asks of the machine it runs on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from visualsearch import cli

from .fakes import paint

FILL_AGAIN = """
import resource, sys
from visualsearch.resources import keep_freed_memory
told = sys.argv[1] == "keep" and keep_freed_memory()
def fill():
    bytearray(b"x") * (64 << 20)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    fill()
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_kept_for_the_next_block() -> None:
    untold = {n: v for n, v in os.environ.items() if not n.startswith(("MALLOC_", "GLIBC_TUNABLES"))}

    def fetched(how: str) -> tuple[int, int]:
        command = [sys.executable, "-c", FILL_AGAIN, how]
        run = subprocess.run(command, check=True, capture_output=True, text=True, env=untold)
        told, pages = run.stdout.split()
        return int(told), int(pages)

    left, kept = fetched("leave"), fetched("keep")
    assert (left[0], kept[0]) == (0, 1)
    assert kept[1] < left[1] / 4


@pytest.mark.parametrize("command", [cli.index, cli.embed])
def test_batch_commands_keep_it(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setattr(command, "keep_freed_memory", lambda: told.append(True))
    picture = paint(tmp_path / "one.png", 1)
    name = command.__name__.rpartition(".")[2]
    monkeypatch.setattr(sys, "argv", ["visualsearch", name, str(picture), "--to", str(tmp_path / name)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code in (0, None)
    assert told == [True]
