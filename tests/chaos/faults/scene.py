"""What a fault gets to work with, and what it leaves: its effects, and the proof that it happened."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.effects import Effect
    from tests.chaos.plan import Planned
    from tests.chaos.services import Service
    from tests.chaos.system import System

_POLL_SECONDS = 0.05
PROOF_SECONDS = 90.0


class NotProvenError(Exception):
    """The fault did not happen as it was meant to."""


@dataclass
class Scene:
    """One fault at work. Its function returns the proof in words, or raises `NotProvenError`."""

    system: System
    planned: Planned
    effects: list[Effect] = field(default_factory=list)

    @property
    def number(self) -> int:
        """The fault's number."""
        return self.planned.number

    @property
    def service(self) -> Service:
        """The service that it hits."""
        return self.system.service(self.planned.target)

    def wait(self) -> None:
        """As long as the fault is to last."""
        time.sleep(self.planned.seconds)

    def prove(self, condition: Callable[[], object], what: str, timeout_seconds: float = PROOF_SECONDS) -> None:
        """Wait until it is so.

        Raises:
            NotProvenError: it didn't come true.
        """
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if time.monotonic() > deadline:
                raise NotProvenError(f"not so after {timeout_seconds:g} s: {what}")
            time.sleep(_POLL_SECONDS)
