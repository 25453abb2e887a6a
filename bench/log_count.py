"""Counts how often something stands in a log that grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class LogCount:
    """Counts the lines with `marker`, reading only what is new; half a line counts when its rest is there."""

    path: Path
    marker: bytes
    _offset: int = 0
    _found: int = 0

    def __call__(self) -> int:
        """How many there are by now."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text.rfind(b"\n") + 1
        self._offset += whole
        self._found += sum(self.marker in line for line in text[:whole].splitlines())
        return self._found
