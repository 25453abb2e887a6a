"""How a task that takes a list says which of its messages have failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_shared.errors import FerryError

if TYPE_CHECKING:
    from collections.abc import Mapping


class MessageFailed(FerryError):
    """One message of a list has failed, as its task reported it. It becomes a dead letter."""


class FailedMessages:
    """Returned by a task that takes a list: `{index in the list: why}`; all others have run."""

    def __init__(self, reasons: Mapping[int, str | Exception]) -> None:
        """Name them; a reason is a sentence or the exception that it was."""
        self.reasons = {
            index: reason if isinstance(reason, Exception) else MessageFailed(reason)
            for index, reason in reasons.items()
        }

    def __repr__(self) -> str:
        """What Celery's log line shows: how many, never why."""
        return f"FailedMessages({len(self.reasons)})"
