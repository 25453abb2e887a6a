"""Was the load what it was meant to be? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.evidence import Evidence
    from tests.chaos.outcome import Run


def wrong_load(evidence: Evidence, run: Run, least: int) -> Iterator[str]:
    """All that was to be sent was sent, acknowledged and is in Kafka, and nothing else; `least` messages or more."""
    load, held = run.load, len(evidence.log)
    if not (load.wanted == load.sent == load.acknowledged == held) or load.refused:
        yield (
            f"Kafka holds {held} messages; {load.wanted} were to be sent, {load.sent} were, "
            f"{load.acknowledged} acknowledged, {len(load.refused)} refused: the load itself failed"
        )
    if load.acknowledged < least:
        yield f"{load.acknowledged} messages acknowledged, expected {least} or more: the run doesn't count"
