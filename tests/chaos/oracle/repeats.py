"""All that happened more than once in a run, or ended otherwise than its message asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.oracle.endings import repeated_dead_letters, wrong_endings
from tests.chaos.oracle.executions import repeated_executions
from tests.chaos.oracle.queueings import repeated_queueings

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence
    from tests.chaos.limits import Limits
    from tests.chaos.oracle.explanation import Repeat


@dataclass(frozen=True, slots=True)
class Repeats:
    """`endings` are valid messages that became dead letters."""

    queueings: tuple[Repeat, ...]
    executions: tuple[Repeat, ...]
    dead_letters: tuple[Repeat, ...]
    endings: tuple[Repeat, ...]

    @property
    def by_name(self) -> dict[str, tuple[Repeat, ...]]:
        """All of them, by what happened to the id."""
        return {
            "queued again": self.queueings,
            "executed again": self.executions,
            "dead again": self.dead_letters,
            "ended wrongly": self.endings,
        }


def find_repeats(evidence: Evidence, limits: Limits) -> Repeats:
    """Each with its explanation, where it has one."""
    return Repeats(
        tuple(repeated_queueings(evidence, limits)),
        tuple(repeated_executions(evidence, limits)),
        tuple(repeated_dead_letters(evidence)),
        tuple(wrong_endings(evidence)),
    )
