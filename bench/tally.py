"""A count that others read while it grows: eight bytes of a file in memory, one file a process, no system call."""

from __future__ import annotations

import mmap
import os
import sys
from functools import cache
from pathlib import Path

FOLDER_VARIABLE = "BENCH_TALLY"
_BYTES = 8


def add(count: int) -> None:
    """Add to this process' count; the folder of the counts is in the environment, as `BENCH_TALLY`."""
    _cell(os.getpid())[0] += count


@cache
def _cell(pid: int) -> memoryview[int]:
    path = Path(os.environ[FOLDER_VARIABLE]) / str(pid)
    path.write_bytes(bytes(_BYTES))
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), _BYTES)).cast("Q")


def total(folder: Path) -> int:
    """What all processes have counted in that folder."""
    return sum(int.from_bytes(path.read_bytes(), sys.byteorder) for path in folder.iterdir())
