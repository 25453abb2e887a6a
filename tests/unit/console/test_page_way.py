"""A message's way as steps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.page.way import FINISHED, MOVING, Moments, Reached, remembered, way
from ferry_console.trace.findings import DeadLetters, Findings, KafkaView, Whereabouts
from ferry_shared.ledger.entry_view import QueueSearch
from tests.unit.console.letter_parts import written
from tests.unit.console.trace_parts import (
    ABSENT,
    FOUND,
    GONE,
    LETTER,
    NO_LETTERS,
    NOW_MS,
    RECORD,
    STATE,
    TASK,
    ended,
    findings,
    in_flight,
)  # fmt: skip

RUNNING = replace(STATE, owner="w", claims=1, claimed_ms=NOW_MS - 1_000, lease_ms=NOW_MS + 9_000)
QUEUED = findings(in_flight(STATE), QueueSearch(3, 4, complete=True))
DEAD = DeadLetters((written(),), 7, complete=True)


def told(found: Findings, moments: Moments | None = None) -> list[str]:
    """How far each step is, by its first letter."""
    return [step.reached.name[0] for step in way(found, moments or remembered(Moments(), found))]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (findings(ended(position=42)), "NAAA"),
        (QUEUED, "PNAA"),
        (findings(in_flight(STATE, taken=True)), "PNAA"),
        (findings(in_flight(replace(STATE, due_ms=NOW_MS + 5))), "PNAA"),
        (findings(in_flight(replace(STATE, token="2.1", due_ms=NOW_MS + 5))), "NAAA"),
        (findings(in_flight(RUNNING)), "PPNA"),
        (findings(in_flight(replace(RUNNING, lease_ms=NOW_MS - 1))), "PPNA"),
        (findings(in_flight(replace(RUNNING, error="ValueError: no"))), "PPPN"),
        (findings(ended()), "PPPP"),
        (findings(ended(), letters=DEAD), "PPPP"),
        (findings(ended(position=42), kafka=replace(GONE, log_end=42)), "AAAA"),
        (findings(ended(position=42), kafka=KafkaView(50, 60, None)), "PAAA"),
        (findings(ABSENT), "NAAA"),
        (findings(None, kafka=None, letters=None), "AAAA"),
    ],
    ids=["in Kafka", "queued", "taken", "retrying", "delayed", "running", "left", "failed", "done", "dead", "not sent",
         "deleted", "no ledger", "unknown"],
)  # fmt: skip
def test_how_far_it_is(found: Findings, expected: str) -> None:
    """Each step is passed, now, or ahead."""
    assert "".join(told(found)) == expected


def test_of_a_batch_that_is_none_any_more() -> None:
    """It was queued once, and nothing more becomes of it: its messages have ways of their own."""
    found = replace(findings(ended()), task_id=replace(TASK, last=50))
    assert told(found) == ["P", "P", "A", "A"]
    assert found.whereabouts in FINISHED


def test_the_end_has_its_name() -> None:
    """What is dead isn't called done; nor is what may be."""
    assert way(findings(ended()), Moments())[-1].name == "done"
    assert way(findings(ended(), letters=LETTER), Moments())[-1].name == "dead letter"
    assert way(findings(ended(), letters=None), Moments())[-1].name == "done or dead letter"
    assert way(findings(in_flight(replace(STATE, error="x: y"))), Moments())[-1].name == "dead letter"


def test_what_was_never_queued_is_left_out() -> None:
    """A record that was invalid has passed neither a queue nor a worker."""
    letters = DeadLetters((written(deliveries=0),), 7, complete=True)
    assert told(findings(ended(), letters=letters)) == ["P", "L", "L", "P"]


def test_moments_are_remembered() -> None:
    """The ledger forgets what has ended; who has watched it knows when it was where."""
    moments = remembered(Moments(), QUEUED)
    assert moments == Moments(RECORD.timestamp_ms, NOW_MS - 5_000)
    moments = remembered(moments, findings(in_flight(RUNNING)))
    assert moments.claimed_ms == NOW_MS - 1_000
    done = remembered(moments, findings(ended()))
    assert done == Moments(RECORD.timestamp_ms, NOW_MS - 5_000, NOW_MS - 1_000, NOW_MS)
    assert remembered(done, findings(replace(ended(), now_ms=NOW_MS + 1))) == done, "it has ended once"
    assert [step.at_ms for step in way(findings(ended()), done)] == [
        RECORD.timestamp_ms, NOW_MS - 5_000, NOW_MS - 1_000, NOW_MS,
    ]  # fmt: skip


def test_what_had_ended_before_has_no_times() -> None:
    """Nobody knows when; of a dead letter its record tells."""
    assert remembered(Moments(), findings(ended())) == Moments(RECORD.timestamp_ms)
    assert remembered(Moments(), findings(ended(), letters=DEAD)).ended_ms == NOW_MS - 1_000


def test_what_comes_again_has_not_ended() -> None:
    """An operator's rewind dispatches it once more."""
    done = Moments(1, 2, 3, 4)
    assert remembered(done, QUEUED).ended_ms is None


def test_every_place_is_judged() -> None:
    """What moves isn't finished; each of the two is looked at again, or not."""
    assert not FINISHED & MOVING
    assert {Whereabouts.RETRYING, Whereabouts.DELAYED, Whereabouts.LEFT, Whereabouts.NOT_SENT} & (
        FINISHED | MOVING
    ) == set()


@given(
    entry=st.sampled_from([None, ABSENT, ended(), ended(position=42), in_flight(STATE), in_flight(RUNNING)]),
    kafka=st.sampled_from([None, FOUND, GONE, KafkaView(None, None, None), KafkaView(50, 60, None)]),
    letters=st.sampled_from([None, NO_LETTERS, LETTER, DEAD, replace(NO_LETTERS, complete=False)]),
    moments=st.builds(Moments, *[st.none() | st.integers(0, 2 * NOW_MS)] * 4),
)
def test_any_way(entry: object, kafka: KafkaView | None, letters: DeadLetters | None, moments: Moments) -> None:
    """Steps come in order: what is passed first, then at most one that is now, then what is ahead, without a time."""
    found = findings(entry, kafka=kafka, letters=letters)  # type: ignore[arg-type]
    steps = way(found, remembered(moments, found))
    reached = [step.reached for step in steps if step.reached is not Reached.LEFT_OUT]
    order = [Reached.PASSED, Reached.NOW, Reached.AHEAD]
    assert [order.index(one) for one in reached] == sorted(order.index(one) for one in reached)
    assert reached.count(Reached.NOW) <= (0 if found.whereabouts in FINISHED else 1)
    assert all(step.at_ms is None for step in steps if step.reached is Reached.AHEAD)
