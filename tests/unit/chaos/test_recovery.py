"""How soon the next task must be done after a fault."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.effects import Away, Killed, Part
from tests.chaos.injection import FaultRecord
from tests.chaos.kinds import KINDS, LONGEST_RECOVERY_SECONDS
from tests.chaos.oracle.moments import Moments
from tests.chaos.oracle.recovery import slow_recoveries, standstill_seconds
from tests.chaos.oracle.spans import Span, common, length_without
from tests.unit.chaos.harness import GOOD_RUN, fault, sent
from tests.unit.chaos.story import Story

SPANS = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (float(min(pair)), float(max(pair))))


def slow(done_at: float, *faults: FaultRecord, load_ended: float = 200.0) -> list[str]:
    """What is too slow if the next task is done at that time; the faults come at 50 and are healed at 51."""
    story = Story().push(1.0).run(2.0, done_at)
    run = replace(GOOD_RUN, faults=faults, load=replace(sent(1), ended=load_ended))
    return list(slow_recoveries(run, Moments(story.evidence)))


def test_the_next_task_must_be_done_in_time() -> None:
    """From the moment at which the fault has healed."""
    assert slow(71.0, fault(1, "a", limit=20.0)) == []
    (problem,) = slow(72.0, fault(1, "a", limit=20.0))
    assert problem == "fault 1 (a): no task was done for 21.0 s after it had healed, expected 20 s at most"


def test_only_while_the_load_runs() -> None:
    """At its end there may be nothing to do; what stands still until then is counted until then."""
    assert slow(190.0, fault(1, "a", limit=20.0), load_ended=71.0) == []
    assert len(slow(190.0, fault(1, "a", limit=20.0), load_ended=72.0)) == 1
    never = replace(GOOD_RUN, faults=(fault(1, "a"),))
    assert standstill_seconds(never.faults[0], never, Moments(Story().evidence)) == 149.0


def test_what_another_fault_stops_is_not_counted() -> None:
    """A server that is away meanwhile; not a process, of which there is another one."""
    kafka = fault(1, "a", limit=20.0, effects=(Away(1, Part.KAFKA, 50.0, 51.0),))
    away = fault(2, "b", 55.0, seconds=10.0, effects=(Away(2, Part.VALKEY, 55.0, 65.0),))
    killed = replace(away, effects=(Killed(2, Part.WORKER, 55.0, 55.1, 7),))

    assert slow(80.0, kafka, away) == []
    assert "for 29.0 s" in slow(80.0, kafka, killed)[0]
    assert "fault 1 (a): no task was done for 24.0 s" in slow(85.0, kafka, away)[0]


def test_what_a_server_needs_to_recover_is_not_a_processs_fault() -> None:
    """It is the server's own fault that is judged by its limit."""
    one = fault(1, "a", limit=20.0)
    away = fault(2, "b", 55.0, seconds=10.0, effects=(Away(2, Part.VALKEY, 55.0, 65.0),), limit=25.0)

    assert slow(90.0, one, away) == []
    (problem,) = slow(91.0, one, away)
    assert problem.startswith("fault 2 (b): no task was done for 26.0 s")
    assert len(slow(107.0, one, away)) == 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_limit_below_half_a_minute(kind: object) -> None:
    """A system that is stuck for a minute never passes."""
    recovery = next(other.recovery for other in KINDS if other is kind)

    assert 0 < recovery <= LONGEST_RECOVERY_SECONDS == 30.0


@given(SPANS, st.lists(SPANS, max_size=4))
def test_lengths_are_counted_second_by_second(span: Span, others: list[Span]) -> None:
    """As by counting each second on its own."""
    moments = [second + 0.5 for second in range(int(span[0]), int(span[1]))]
    free = [moment for moment in moments if not any(at <= moment <= until for at, until in others)]

    assert length_without(span, others) == len(free)


@given(st.lists(SPANS, max_size=3), st.lists(SPANS, max_size=3))
def test_what_is_common_lies_in_both(some: list[Span], others: list[Span]) -> None:
    """Second by second."""
    both = common(some, others)
    for moment in (second + 0.5 for second in range(31)):
        inside = [any(at <= moment <= until for at, until in spans) for spans in (some, others, both)]
        assert inside[2] is (inside[0] and inside[1])
