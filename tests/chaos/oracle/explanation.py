"""What an oracle says of something that happened more than once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why it may have happened; `fault` is the number of the fault behind it, None where the message itself asked."""

    cause: str
    fault: int | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """A second, third, ... queueing, execution or dead letter of one id; `explanation` None fails the run."""

    what: str
    task_id: str
    at: float
    explanation: Explanation | None

    @property
    def cause(self) -> str:
        """The cause in words."""
        return self.explanation.cause if self.explanation else "unexplained"
