"""One log out of several: a component's name before each line, in its colour on a terminal."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

#: The numbers are those of ANSI's "select graphic rendition".
COLOURS: Mapping[str, int] = {"consumer": 36, "worker": 32, "beat": 35, "valkey": 33, "kafka": 34, "ferry": 1}
_WIDTH = max(map(len, COLOURS))
_CHUNK_BYTES = 1 << 20


def prefixed(component: str, line: str, *, coloured: bool) -> str:
    """`line` with the component's name before it."""
    name = component.ljust(_WIDTH)
    if coloured:
        name = f"\x1b[{COLOURS.get(component, 0)}m{name}\x1b[0m"
    return f"{name} | {line}"


def colour_wanted(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether colour is welcome: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return not environment.get("NO_COLOR") and stream.isatty()


class FollowedLog:
    """Reads the lines that are appended to a file from now on; a line counts once its end is written."""

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        """The file need not exist yet; `from_start` includes what it already holds."""
        self._path = path
        self._position = path.stat().st_size if path.exists() and not from_start else 0
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """The lines that were completed since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as log:
            log.seek(self._position)
            while chunk := log.read(_CHUNK_BYTES):
                self._position += len(chunk)
                *complete, self._rest = (self._rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in complete)
