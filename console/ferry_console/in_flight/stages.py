"""How far a message in flight is, judged from its entry in the ledger."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferry_shared.ledger.entry_view import EntryState


class Stage(StrEnum):
    """`QUEUED`: no worker has claimed it; `LEFT`: its last claim ended without an outcome, and it comes back."""

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
        return Stage.RETRYING
    if state.owner is not None:
        return Stage.RUNNING if state.lease_ms > now_ms else Stage.LEFT
    return Stage.QUEUED
