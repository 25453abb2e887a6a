"""How processes ended that no fault had killed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Part
from tests.chaos.services import STOP_GRACE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.effects import Effect
    from tests.chaos.evidence import Evidence
    from tests.chaos.outcome import Run
    from tests.chaos.services import UnexpectedExit

_FENCED_SECONDS = 30.0
_EXIT_CONFIGURATION = 2
_KILLED = -9


def wrong_exits(evidence: Evidence, run: Run) -> Iterator[str]:
    """What ended by itself, and what did not end well when it was asked to."""
    excused = fenced_exits(evidence, run.unexpected_exits)
    for ended in run.unexpected_exits:
        if ended not in excused:
            yield f"{ended.service} (process {ended.pid}) ended by itself with exit code {ended.code}"
    for stop in run.stops:
        if stop.code == _KILLED:
            yield (
                f"{stop.service} (process {stop.pid}) did not end within {STOP_GRACE_SECONDS:g} s after SIGTERM "
                f"or was killed ({stop.seconds:.1f} s)"
            )
        elif stop.code != 0:
            yield f"{stop.service} (process {stop.pid}) ended with exit code {stop.code} after SIGTERM, expected 0"


def fenced_exits(evidence: Evidence, exits: Sequence[UnexpectedExit]) -> list[UnexpectedExit]:
    """Consumers with an instance id that Kafka fenced after it had been away: one for each time that it was.

    librdkafka can join anew while a commit under its old member id is on the way; Kafka answers that with a fence, for
    good, and the consumer ends with a sentence. docs/chaos.md says so.
    """
    used: set[int] = set()
    excused = []
    for ended in sorted(exits, key=lambda one: one.at):
        outage = _outage_behind(evidence, ended, used)
        if outage is not None:
            used.add(outage.fault)
            excused.append(ended)
    return excused


def _outage_behind(evidence: Evidence, ended: UnexpectedExit, used: set[int]) -> Effect | None:
    if ended.code != _EXIT_CONFIGURATION or "CONSUMER_INSTANCE_ID: another consumer" not in ended.log:
        return None
    for effect in evidence.history.effects:
        if (
            isinstance(effect, Away)
            and effect.part is Part.KAFKA
            and effect.fault not in used
            and effect.touches(ended.at - _FENCED_SECONDS, ended.at)
        ):
            return effect
    return None
