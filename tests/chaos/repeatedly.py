"""Something done again and again beside a run, from a thread of its own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def repeatedly(name: str, seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Call `act` every so many seconds while the context lasts; at its end a call that is under way is waited for."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            act()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
