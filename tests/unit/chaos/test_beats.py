"""Beat's schedule: each run once, no gaps."""

from dataclasses import replace

import pytest

from tests.chaos.effects import Away, Effect, Forgot, Held, History, Killed, Part
from tests.chaos.injection import FaultRecord
from tests.chaos.kinds import Resource
from tests.chaos.oracle.beats import wrong_ticks
from tests.chaos.ticks import RAN, SENDING, Tick, read_ticks
from tests.unit.chaos.harness import DRAINED_AT, GOOD_RUN, fault, ticks


def wrong(*own: Tick, effects: tuple[Effect, ...] = (), faults: tuple[FaultRecord, ...] = ()) -> list[str]:
    """What is wrong with such a schedule."""
    return list(
        wrong_ticks(replace(GOOD_RUN, ticks=sorted(own, key=lambda tick: tick.at), faults=faults), History(effects))
    )


def again(at: float, what: str = SENDING, task_id: str = "again") -> Tick:
    """One tick more, by another beat."""
    return Tick(what, at, task_id, 41)


def test_a_schedule_that_is_kept() -> None:
    """Every five seconds until the end, each done or not."""
    assert wrong(*ticks(), again(10.1, RAN, "tick-2"), again(15.1, RAN, "tick-3")) == []
    assert wrong() == ["beat never sent anything"]


def test_a_run_that_two_beats_send_fails() -> None:
    """Unless Redis forgot or was away, or one of them stood still between its claim and its message."""
    assert (
        "beat sent the same run twice: tick-20 (process 40) and again (process 41) 0.50 s apart"
        in wrong(*ticks(), again(100.5))[0]
    )
    excuses: tuple[Effect, ...] = (
        Forgot(1, Part.VALKEY, 99.0, 99.1),
        Away(1, Part.VALKEY, 97.0, 99.1),
        Held(1, Part.BEAT, 94.0, 100.4, 41),
    )
    for effect in excuses:
        assert wrong(*ticks(), again(100.5), effects=(effect,)) == []
    for other in (
        Forgot(1, Part.VALKEY, 99.0, 99.1, partition=2),
        Forgot(1, Part.VALKEY, 90.0, 94.0),
        Held(1, Part.BEAT, 94.0, 100.4, 42),
        Killed(1, Part.BEAT, 99.0, 100.4, 41),
    ):
        assert len(wrong(*ticks(), again(100.5), effects=(other,))) == 1


def gap(start: float, end: float) -> tuple[Tick, ...]:
    """A schedule that is kept but for this."""
    return tuple(tick for tick in ticks() if not start < tick.at < end)


def test_a_gap_fails() -> None:
    """Longer than an interval and a bound; at the end too."""
    assert wrong(*gap(100.0, 110.0)) == []
    assert wrong(*gap(100.0, 115.0))[0].startswith("beat sent nothing for 15.0 s while a beat and Valkey were there")
    assert "for 15.0 s" in wrong(*gap(DRAINED_AT - 15.0, DRAINED_AT + 1))[0]


def test_without_valkey_nothing_is_sent() -> None:
    """Only that long, and a run that was claimed may be lost with it."""
    away = Away(1, Part.VALKEY, 101.0, 121.0)
    faults = (fault(1, "Valkey away", 101.0, seconds=20.0, target="valkey", effects=(away,)),)

    assert wrong(*gap(100.0, 135.0), effects=(away,), faults=faults) == []
    assert "for 20.0 s" in wrong(*gap(100.0, 140.0), effects=(away,), faults=faults)[0]


@pytest.mark.parametrize(("other", "passes"), [(Resource.BEAT_B, True), (Resource.BEAT_A, False)])
def test_both_beats_must_be_down(other: Resource, *, passes: bool) -> None:
    """One of them is enough."""
    faults = tuple(
        fault(
            number, "beat held", 101.0, seconds=20.0, target=target, effects=(Held(number, Part.BEAT, 101.0, 121.0, 7),)
        )
        for number, target in enumerate((Resource.BEAT_A, other))
    )

    assert (wrong(*gap(100.0, 140.0), faults=faults) == []) is passes


def test_what_ran_twice_fails() -> None:
    """Unless a worker or Redis had trouble in between; and what nobody sent must not run."""
    twice = (*ticks(), again(10.1, RAN, "tick-2"), again(11.0, RAN, "tick-2"))

    assert wrong(*twice) == ["the run tick-2 of the schedule was done 2 times"]
    assert wrong(*twice, effects=(Killed(1, Part.WORKER, 10.5, 10.6, 7),)) == []
    assert wrong(*twice, effects=(Killed(1, Part.WORKER, 12.5, 12.6, 7),)) != []
    assert wrong(*ticks(), again(10.1, RAN, "x")) == ["1 runs of the schedule were done that no beat sent: x"]


def test_the_file_is_read_in_the_order_of_time() -> None:
    """Of several processes, whose lines come as they come."""
    lines = ["ran\t2.5\tb\t9\n", "sending\t1.25\ta\t8\n"]

    assert read_ticks(lines) == [Tick(SENDING, 1.25, "a", 8), Tick(RAN, 2.5, "b", 9)]
    with pytest.raises(ValueError, match="not enough values"):
        read_ticks(["sending\t1.25\n"])
