"""How far a message in flight is, judged from its entry in the ledger."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferry_shared.ledger.entry_view import EntryState


#: How the token of a message ends that has asked for no retry.
_FIRST_ATTEMPT = ".1"


class Stage(StrEnum):
    """`DELAYED`: it waits for its time; `QUEUED`: no worker has claimed it; `LEFT`: its last claim ended without an
    outcome, and it comes back."""

    DELAYED = "delayed"
    QUEUED = "queued"
    RUNNING = "running"
    LEFT = "left"
    RETRYING = "retrying"
    FAILED = "failed"


def stage_of(state: EntryState, now_ms: int) -> Stage:
    """Judge an entry's state at `now_ms`, the server's time in milliseconds since 1970."""
    if state.error is not None:
        return Stage.FAILED
    if state.due_ms is not None:
        return Stage.DELAYED if state.token.endswith(_FIRST_ATTEMPT) else Stage.RETRYING
    if state.owner is not None:
        return Stage.RUNNING if state.lease_ms > now_ms else Stage.LEFT
    return Stage.QUEUED
