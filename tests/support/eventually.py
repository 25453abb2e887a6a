"""Wait for a condition of the world outside the test."""

import time
from collections.abc import Callable
from typing import TypeVar

_POLL_SECONDS = 0.05
_Value = TypeVar("_Value")


def eventually(ask: Callable[[], _Value], expected: _Value, timeout_seconds: float = 20.0) -> None:
    """Ask until the answer is `expected`; fails with the last answer when time is over."""
    deadline = time.monotonic() + timeout_seconds
    while (answer := ask()) != expected:
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_seconds} s still {answer!r}, expected {expected!r}")
        time.sleep(_POLL_SECONDS)
