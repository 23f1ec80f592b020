"""What a process asks of the machine it runs on."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
    def fetched(how: str) -> tuple[int, int]:
        run = subprocess.run(
            [sys.executable, "-c", FILL_AGAIN, how], check=True, capture_output=True, text=True
        )
        told, pages = run.stdout.split()
        return int(told), int(pages)

    assert fetched("leave")[1] >= 8 * 32  # 64 MB at least in pages of 2 MB
    told, pages = fetched("keep")
    assert told == 1
    assert pages < 32
