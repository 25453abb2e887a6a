"""How processes may end that no fault has killed."""

from dataclasses import replace

import pytest

from tests.chaos.effects import Away, Effect, Part
from tests.chaos.oracle.stopping import fenced_exits, wrong_exits
from tests.chaos.services import STOP_GRACE_SECONDS, Stop, UnexpectedExit
from tests.unit.chaos.harness import GOOD_RUN
from tests.unit.chaos.story import Story

FENCED = UnexpectedExit("consumer-a", 7, 2, 60.0, "CONSUMER_INSTANCE_ID: another consumer of this group has ...")
KAFKA_AWAY = Away(1, Part.KAFKA, 50.0, 58.0)


def wrong(*exits: UnexpectedExit, stops: tuple[Stop, ...] = (), effects: tuple[Effect, ...] = ()) -> list[str]:
    """What is wrong with how these ended."""
    return list(wrong_exits(Story().when(*effects).evidence, replace(GOOD_RUN, unexpected_exits=exits, stops=stops)))


def test_what_was_asked_to_end_ends_with_0() -> None:
    """Also within its grace: what must be killed has -9."""
    assert wrong(stops=(Stop("worker-a", 7, 0, 44.9),)) == []
    assert "exit code 1 after SIGTERM, expected 0" in wrong(stops=(Stop("beat-b", 7, 1, 0.1),))[0]
    assert "exit code -15 after SIGTERM" in wrong(stops=(Stop("beat-b", 7, -15, 0.1),))[0]
    assert "did not end within 45 s" in wrong(stops=(Stop("worker-a", 7, -9, STOP_GRACE_SECONDS),))[0]


def test_nothing_ends_by_itself() -> None:
    """With whatever code."""
    assert wrong() == []
    for code in (0, 1, 2, -9, None):
        assert "ended by itself" in wrong(replace(FENCED, code=code, log=""))[0]


def test_a_consumer_that_a_restarted_kafka_fences_is_excused() -> None:
    """Only with that sentence and that code, and only right after Kafka was away."""
    assert wrong(FENCED, effects=(KAFKA_AWAY,)) == []
    for exits, effects in (
        (FENCED, ()),
        (FENCED, (Away(1, Part.KAFKA, 10.0, 29.9),)),
        (FENCED, (Away(1, Part.VALKEY, 50.0, 58.0),)),
        (replace(FENCED, log="KAFKA_SASL_MECHANISM"), (KAFKA_AWAY,)),
        (replace(FENCED, code=1), (KAFKA_AWAY,)),
    ):
        assert "ended by itself" in wrong(exits, effects=effects)[0]


@pytest.mark.parametrize(("outages", "excused"), [(1, 1), (2, 2), (3, 2)])
def test_each_outage_excuses_one_exit(outages: int, excused: int) -> None:
    """A consumer that is fenced again and again is not excused by one restart."""
    exits = [FENCED, replace(FENCED, pid=8, at=61.0)]
    effects = [replace(KAFKA_AWAY, fault=number) for number in range(outages)]

    assert len(fenced_exits(Story().when(*effects).evidence, exits)) == excused
    assert len(wrong(*exits, effects=tuple(effects))) == len(exits) - excused
