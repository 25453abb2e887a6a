"""Ctrl-C and SIGTERM for a supervisor: the first one asks for an orderly stop, the second one ends everything."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals(force: Callable[[], None]) -> Iterator[None]:
    """While inside, the first signal raises `KeyboardInterrupt`, each later one calls `force` and raises nothing."""
    received = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        if received:
            force()
            return
        received = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
