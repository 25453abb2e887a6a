"""How large a measurement is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Options:
    """Messages of the backlog, rounds of each, and the longest time of a round; `tell` hears what goes on."""

    messages: int
    rounds: int
    seconds: float
    tell: Callable[[str], None]
