"""Where a message is, judged from what each source says."""

from dataclasses import replace

import pytest

from ferry_console.trace.findings import DeadLetters, Findings, KafkaView, Whereabouts
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.entry_view import QueueSearch
from tests.unit.console.trace_parts import (
    ABSENT,
    FOUND,
    GONE,
    LETTER,
    NO_LETTERS,
    NOW_MS,
    RUNNING,
    STATE,
    TASK,
    ended,
    findings,
    in_flight,
)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"error": "ValueError: no", "owner": "o", "due_ms": 1}, Whereabouts.FAILED),
        ({"due_ms": NOW_MS + 1}, Whereabouts.RETRYING),
        ({"due_ms": NOW_MS - 1}, Whereabouts.RETRYING),
        ({"due_ms": NOW_MS + 1, "token": "2.1"}, Whereabouts.DELAYED),
        ({"owner": "o", "lease_ms": NOW_MS + 1}, Whereabouts.RUNNING),
        ({"owner": "o", "lease_ms": NOW_MS}, Whereabouts.LEFT),
        ({"claims": 2}, Whereabouts.WAITING),
    ],
)
def test_in_flight(changed: dict[str, object], where: Whereabouts) -> None:
    """The entry's state decides, whatever else is known."""
    for letters in (NO_LETTERS, LETTER, None):
        assert findings(in_flight(replace(STATE, **changed)), letters=letters).whereabouts is where  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("taken", "queue", "where"),
    [
        (True, QueueSearch(5, 9, complete=True), Whereabouts.TAKEN),
        (False, QueueSearch(0, 9, complete=True), Whereabouts.QUEUED),
        (False, QueueSearch(None, 9, complete=True), Whereabouts.UNSEEN),
        (False, QueueSearch(None, 9, complete=False), Whereabouts.WAITING),
        (False, None, Whereabouts.WAITING),
    ],
)
def test_where_its_copy_is(taken: bool, queue: QueueSearch | None, where: Whereabouts) -> None:
    """Queued and taken are told apart; what wasn't searched to its end is not called vanished."""
    assert findings(in_flight(STATE, taken=taken), queue=queue).whereabouts is where


@pytest.mark.parametrize(
    ("kafka", "letters", "where"),
    [
        (FOUND, NO_LETTERS, Whereabouts.DONE),
        (FOUND, LETTER, Whereabouts.DEAD),
        (FOUND, DeadLetters((), 9, complete=False), Whereabouts.ENDED),
        (FOUND, None, Whereabouts.ENDED),
        (None, None, Whereabouts.ENDED),
        (KafkaView(50, 90, None), NO_LETTERS, Whereabouts.DONE),
        (KafkaView(50, 90, None), LETTER, Whereabouts.DEAD),
        (GONE, NO_LETTERS, Whereabouts.ABSENT),
        (KafkaView(0, 42, None), NO_LETTERS, Whereabouts.NOT_SENT),
    ],
)
def test_below_the_position(kafka: KafkaView | None, letters: DeadLetters | None, where: Whereabouts) -> None:
    """It has ended: how, the dead letters tell; what was never a message isn't called done."""
    assert findings(ended(), kafka=kafka, letters=letters).whereabouts is where


@pytest.mark.parametrize(
    ("kafka", "where"),
    [
        (FOUND, Whereabouts.IN_KAFKA),
        (GONE, Whereabouts.ABSENT),
        (KafkaView(0, 42, None), Whereabouts.NOT_SENT),
        (KafkaView(43, 90, None), Whereabouts.DELETED),
        (KafkaView(None, None, None), Whereabouts.NO_TOPIC),
        (None, Whereabouts.UNKNOWN),
    ],
)
@pytest.mark.parametrize("letters", [NO_LETTERS, LETTER])
def test_from_the_position_on(kafka: KafkaView | None, letters: DeadLetters, where: Whereabouts) -> None:
    """Not dispatched: Kafka tells whether there is something to dispatch; a dead letter is of an earlier time."""
    assert findings(ended(position=42), kafka=kafka, letters=letters).whereabouts is where


@pytest.mark.parametrize("condition", [Condition.ABSENT, Condition.DAMAGED, Condition.WRONG_TYPE])
@pytest.mark.parametrize(
    ("kafka", "letters", "where"),
    [
        (FOUND, NO_LETTERS, Whereabouts.NO_LEDGER),
        (FOUND, LETTER, Whereabouts.DEAD),
        (GONE, NO_LETTERS, Whereabouts.ABSENT),
        (KafkaView(None, None, None), NO_LETTERS, Whereabouts.NO_TOPIC),
        (None, None, Whereabouts.UNKNOWN),
    ],
)
def test_without_a_readable_ledger(
    condition: Condition, kafka: KafkaView | None, letters: DeadLetters | None, where: Whereabouts
) -> None:
    """Kafka's half is told."""
    assert findings(replace(ABSENT, condition=condition), kafka=kafka, letters=letters).whereabouts is where


@pytest.mark.parametrize(
    ("kafka", "letters", "where"),
    [
        (FOUND, NO_LETTERS, Whereabouts.UNKNOWN),
        (FOUND, LETTER, Whereabouts.DEAD),
        (KafkaView(0, 42, None), NO_LETTERS, Whereabouts.NOT_SENT),
        (None, None, Whereabouts.UNKNOWN),
    ],
)
def test_without_redis(kafka: KafkaView | None, letters: DeadLetters | None, where: Whereabouts) -> None:
    """Whether a record was dispatched isn't guessed."""
    assert findings(None, kafka=kafka, letters=letters).whereabouts is where


def test_what_is_known() -> None:
    """An id without a message, and without a trace of one, is not known."""
    assert findings(ended()).known
    assert findings(in_flight(STATE), kafka=None, letters=None).known
    assert not findings(ended(position=42), kafka=KafkaView(0, 42, None)).known
    assert findings(ended(position=42), kafka=KafkaView(0, 42, None), letters=LETTER).known
    assert not Findings(TASK, None, None, None, None).known


BATCH = replace(in_flight(RUNNING), member="40-50-9")


@pytest.mark.parametrize(
    ("kafka", "progress", "where"),
    [
        (FOUND, None, Whereabouts.RUNNING),
        (FOUND, 41, Whereabouts.RUNNING),
        (FOUND, 42, Whereabouts.DONE),
        (None, 43, Whereabouts.DONE),
        (GONE, None, Whereabouts.ABSENT),
        (GONE, 43, Whereabouts.ABSENT),
        (KafkaView(43, 90, None), None, Whereabouts.RUNNING),
    ],
)
def test_inside_a_batch(kafka: KafkaView | None, progress: int | None, where: Whereabouts) -> None:
    """What the batch has done is done; an offset between its messages is none; what retention has taken still runs."""
    found = findings(replace(BATCH, state=replace(RUNNING, progress=progress)), kafka=kafka)
    assert (found.whereabouts, found.batch) == (where, replace(TASK, first=40, last=50))


def test_a_batch_by_its_own_id() -> None:
    """In flight it is where its message is, whatever of it is done; after that only its messages are anywhere."""
    batch = replace(TASK, first=40, last=50)
    found = findings(replace(BATCH, state=replace(RUNNING, progress=49)))
    assert replace(found, task_id=batch).whereabouts is Whereabouts.RUNNING
    assert replace(findings(ended()), task_id=batch).whereabouts is Whereabouts.NO_BATCH
    assert replace(findings(ended(position=40)), task_id=batch).whereabouts is Whereabouts.IN_KAFKA
