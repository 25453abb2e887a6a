"""What goes on, on standard error, and only if that is a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def telling(name: str) -> Iterator[Callable[[str], None]]:
    """Give what shows a line of progress while inside."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415 - for terminals only

    with Console(stderr=True).status(name) as status:
        yield lambda text: status.update(f"{name}: {text}")
