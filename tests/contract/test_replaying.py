"""Replaying dead letters with a real Valkey: each is sent once, whatever fails in between."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ferry_console.dead_letters.replay_marks import Mark, Taken, read_marks, settle, take
from ferry_console.dead_letters.replay_sending import Answer, Delivery
from ferry_console.dead_letters.replaying import BATCH_LETTERS, Enough, Replaying, Result
from ferry_console.dead_letters.replays import Replay, prepared
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.keys import replayed_key
from ferry_shared.record import Record
from tests.support.ledger_probe import LedgerProbe
from tests.unit.console.letter_parts import RECORD, written

ALICE, BOB = Mark("alice@host", 1_000), Mark("bob@host", 2_000)
PREFIX = "pre:"


@dataclass
class FakeKafka:
    """Notes what is sent; answers by offset where the test says so. `fails` stands for the end of the process."""

    answers: dict[int, Answer] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    fails: bool = False
    when_sent: Callable[[], object] = lambda: None

    def send(self, replays: Sequence[Replay]) -> list[Answer]:
        """Answer each."""
        if self.fails:
            raise KeyboardInterrupt
        self.batches.append(len(replays))
        answers = [self.answers.get(one.task_id.first, Answer(Delivery.SENT)) for one in replays]
        self.sent += [
            one.task_id.first for one, answer in zip(replays, answers, strict=True) if answer.delivery is Delivery.SENT
        ]
        self.when_sent()
        return answers


def letter(offset: int, **of: Any) -> Record:
    """A dead letter of group `blue`."""
    return written(replace(RECORD, offset=offset), task_id=f"orders-3-{offset}@blue", **of)


def ready(offset: int) -> Replay:
    """The record that it becomes."""
    found = prepared(letter(offset), ".dlq", force=False)
    assert isinstance(found, Replay)
    return found


def replay(
    ledger: LedgerProbe,
    kafka: FakeKafka | None,
    *offsets: int,
    mark: Mark = ALICE,
    force: bool = False,
    limit: int | None = None,
) -> dict[Result, int]:
    """Replay these letters, and count the results."""
    replaying = Replaying(ledger.client, PREFIX, kafka, mark, suffix=".dlq", force=force, limit=limit)
    try:
        for offset in offsets:
            replaying.add(letter(offset))
        replaying.finish()
    except (Enough, KafkaUnavailable):
        pass
    return dict(replaying.tally.counts)


def test_each_is_sent_once_however_often_it_is_asked_for(ledger: LedgerProbe) -> None:
    """By the same person or another one; who was first, and when, is kept."""
    kafka = FakeKafka()
    assert replay(ledger, kafka, 1, 2, 3) == {Result.REPLAYED: 3}
    assert replay(ledger, kafka, 2, 3, 4, mark=BOB) == {Result.BEFORE: 2, Result.REPLAYED: 1}
    assert kafka.sent == [1, 2, 3, 4]
    assert read_marks(ledger.client, PREFIX, [ready(1), ready(4), ready(5)]) == [
        replace(ALICE, sent=True), replace(BOB, sent=True), None,
    ]  # fmt: skip
    assert ledger.client.hlen(replayed_key(PREFIX, "blue")) == 4
    assert ledger.client.ttl(replayed_key(PREFIX, "blue")) == -1


def test_a_letter_that_is_there_twice_is_sent_once(ledger: LedgerProbe) -> None:
    """In one batch, in two, with force, and in what a dry run says."""
    kafka = FakeKafka()
    assert replay(ledger, None, 1, 1, *range(2, 200), 1) == {Result.REPLAYED: 199, Result.BEFORE: 2}
    assert replay(ledger, kafka, 1, 1, *range(2, 200), 1) == {Result.REPLAYED: 199, Result.BEFORE: 2}
    assert sorted(kafka.sent) == list(range(1, 200))
    assert replay(ledger, kafka, 1, 1, *range(2, 200), 1, force=True) == {Result.REPLAYED: 199, Result.BEFORE: 2}
    assert sorted(kafka.sent) == sorted([*range(1, 200)] * 2)


def test_force_sends_once_more(ledger: LedgerProbe) -> None:
    """And is remembered as the newest."""
    kafka = FakeKafka()
    replay(ledger, kafka, 1)
    assert replay(ledger, kafka, 1, mark=BOB, force=True) == {Result.REPLAYED: 1}
    assert kafka.sent == [1, 1]
    assert read_marks(ledger.client, PREFIX, [ready(1)]) == [replace(BOB, sent=True)]


def test_a_dry_run_sends_and_writes_nothing(ledger: LedgerProbe) -> None:
    """It counts what would be sent, and what has been."""
    replay(ledger, FakeKafka(), 1)
    before = ledger.dump()
    assert replay(ledger, None, 1, 2, 3) == {Result.BEFORE: 1, Result.REPLAYED: 2}
    assert replay(ledger, None, 1, 2, 3, force=True) == {Result.REPLAYED: 3}
    assert ledger.dump() == before


def test_what_was_killed_in_between_is_not_sent_again(ledger: LedgerProbe) -> None:
    """Nobody knows whether it went out: it is told by name, and force sends it."""
    with pytest.raises(KeyboardInterrupt):
        replay(ledger, FakeKafka(fails=True), 1, 2)
    kafka = FakeKafka()
    replaying = Replaying(ledger.client, PREFIX, kafka, BOB, suffix=".dlq", force=False)
    for offset in (1, 2, 3):
        replaying.add(letter(offset))
    replaying.finish()
    assert replaying.tally.counts == {Result.UNCLEAR: 2, Result.REPLAYED: 1}
    assert [problem.id for problem in replaying.tally.problems] == ["orders-3-1@blue", "orders-3-2@blue"]
    assert "by alice@host at 1970-01-01T00:00:01.000Z" in replaying.tally.problems[0].why
    assert replay(ledger, None, 1) == {Result.UNCLEAR: 1}
    assert replay(ledger, kafka, 1, force=True) == {Result.REPLAYED: 1}
    assert kafka.sent == [3, 1]


def test_what_kafka_refuses_can_be_tried_again(ledger: LedgerProbe) -> None:
    """Its mark is given back; that of a time-out is not."""
    kafka = FakeKafka({1: Answer(Delivery.REFUSED, "too large"), 2: Answer(Delivery.UNKNOWN, "timed out")})
    assert replay(ledger, kafka, 1, 2, 3) == {Result.REFUSED: 1, Result.UNCLEAR: 1, Result.REPLAYED: 1}
    assert read_marks(ledger.client, PREFIX, [ready(1), ready(2)]) == [None, ALICE]
    kafka.answers.clear()
    assert replay(ledger, kafka, 1, 2, 3) == {Result.REPLAYED: 1, Result.UNCLEAR: 1, Result.BEFORE: 1}
    assert kafka.sent == [3, 1]


def test_a_forced_one_that_kafka_refuses_is_marked_as_before(ledger: LedgerProbe) -> None:
    """It went out once: the next one who asks must not send it again without force."""
    kafka = FakeKafka()
    replay(ledger, kafka, 1)
    kafka.answers[1] = Answer(Delivery.REFUSED, "too large")
    assert replay(ledger, kafka, 1, mark=BOB, force=True) == {Result.REFUSED: 1}
    assert read_marks(ledger.client, PREFIX, [ready(1)]) == [replace(ALICE, sent=True)]
    kafka.answers.clear()
    assert replay(ledger, kafka, 1, mark=BOB) == {Result.BEFORE: 1}


def test_a_refusal_leaves_what_somebody_else_has_forced_meanwhile(ledger: LedgerProbe) -> None:
    """Its mark is not ours to take back."""
    kafka = FakeKafka({1: Answer(Delivery.REFUSED, "too large")})
    kafka.when_sent = lambda: take(ledger.client, PREFIX, [ready(1)], BOB, force=True)
    assert replay(ledger, kafka, 1) == {Result.REFUSED: 1}
    assert read_marks(ledger.client, PREFIX, [ready(1)]) == [BOB]


def test_a_kafka_that_does_not_answer_ends_it_behind_one_batch(ledger: LedgerProbe) -> None:
    """Else each batch would become unclear, one after the other."""
    kafka = FakeKafka({offset: Answer(Delivery.UNKNOWN, "timed out") for offset in range(10)})
    replaying = Replaying(ledger.client, PREFIX, kafka, ALICE, suffix=".dlq", force=False)
    for offset in range(BATCH_LETTERS - 1):
        replaying.add(letter(offset))
    with pytest.raises(KafkaUnavailable, match="has not answered for 10 of 100: timed out"):
        replaying.add(letter(BATCH_LETTERS))
    assert kafka.batches == [BATCH_LETTERS]
    assert replaying.tally.counts == {Result.UNCLEAR: 10, Result.REPLAYED: 90}


def test_what_nobody_would_run_is_not_sent_unless_forced(ledger: LedgerProbe) -> None:
    """The reason is told, and what helps; the others are sent."""
    kafka = FakeKafka()
    for force, counts in ((False, {Result.UNFIT: 1, Result.REPLAYED: 1}), (True, {Result.REPLAYED: 2})):
        replaying = Replaying(
            ledger.client, PREFIX, kafka, ALICE, suffix=".dlq", force=force,
            unfit=lambda task_id: "is a stranger" if task_id.first == 1 else None,
        )  # fmt: skip
        replaying.add(letter(1))
        replaying.add(letter(2))
        replaying.finish()
        assert replaying.tally.counts == counts
        assert [problem.why for problem in replaying.tally.problems] == (
            [] if force else ["is a stranger; --force sends it all the same"]
        )
    assert kafka.sent == [2, 1, 2]


def test_two_at_once_share_the_letters(ledger: LedgerProbe) -> None:
    """Whoever marks one first sends it; the other one learns of it."""
    assert take(ledger.client, PREFIX, [ready(1), ready(2)], ALICE, force=False) == [Taken(), Taken()]
    assert take(ledger.client, PREFIX, [ready(2), ready(3)], BOB, force=False) == [Taken(ALICE), Taken()]
    settle(ledger.client, PREFIX, [ready(1)], [(ready(2), None)], ALICE)
    assert take(ledger.client, PREFIX, [ready(1), ready(2)], BOB, force=False) == [
        Taken(replace(ALICE, sent=True)), Taken(),
    ]  # fmt: skip


def test_batches_are_bounded(ledger: LedgerProbe) -> None:
    """By their number and by their bytes, so that little is unclear if the process dies."""
    kafka = FakeKafka()
    replay(ledger, kafka, *range(2 * BATCH_LETTERS + 10))
    assert kafka.batches == [BATCH_LETTERS, BATCH_LETTERS, 10]
    replaying = Replaying(ledger.client, PREFIX, kafka, ALICE, suffix=".dlq", force=False)
    for offset in range(1_000, 1_010):
        replaying.add(replace(letter(offset), value=b"x" * 3_000_000))
    replaying.finish()
    assert kafka.batches[3:] == [3, 3, 3, 1]


@pytest.mark.parametrize("limit", [1, 99, 100, 101, 250])
def test_no_more_are_replayed_than_asked_for(ledger: LedgerProbe, limit: int) -> None:
    """What was replayed before doesn't count."""
    kafka = FakeKafka()
    replay(ledger, kafka, *range(0, 300, 10))
    kafka.sent.clear()
    counts = replay(ledger, kafka, *range(400), limit=limit)
    assert (counts[Result.REPLAYED], len(kafka.sent)) == (limit, limit)
    assert kafka.sent == [offset for offset in range(400) if offset >= 300 or offset % 10][:limit]


def test_what_can_not_be_sent_is_told_and_holds_nothing_up(ledger: LedgerProbe) -> None:
    """A letter without its value must not become a tombstone."""
    kafka = FakeKafka()
    replaying = Replaying(ledger.client, PREFIX, kafka, ALICE, suffix=".dlq", force=True)
    replaying.add(letter(1, omitted=(("ferry.value-omitted", "9 bytes"),)))
    replaying.add(letter(2))
    replaying.finish()
    assert replaying.tally.counts == {Result.UNFIT: 1, Result.REPLAYED: 1}
    assert kafka.sent == [2]


def test_without_redis_nothing_is_sent() -> None:
    """What can't be marked could be sent twice."""
    kafka = FakeKafka()
    replaying = Replaying(connect("redis://127.0.0.1:1/0"), PREFIX, kafka, ALICE, suffix=".dlq", force=False)
    replaying.add(letter(1))
    with pytest.raises(RedisUnavailable):
        replaying.finish()
    assert kafka.sent == []


@contextmanager
def full(ledger: LedgerProbe) -> Iterator[None]:
    """Redis refuses whatever would add to it."""
    before = ledger.call("CONFIG", "GET", "maxmemory")
    limit = before[b"maxmemory"] if isinstance(before, dict) else before[1]
    ledger.call("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        ledger.call("CONFIG", "SET", "maxmemory", limit)


def test_a_full_redis_sends_nothing(ledger: LedgerProbe) -> None:
    """What isn't marked isn't sent; when there is room again, it is."""
    kafka = FakeKafka()
    replaying = Replaying(ledger.client, PREFIX, kafka, ALICE, suffix=".dlq", force=False)
    replaying.add(letter(1))
    with full(ledger), pytest.raises(RedisUnavailable):
        replaying.finish()
    assert (kafka.sent, replaying.tally.counts) == ([], {Result.UNCLEAR: 1})
    assert replaying.tally.problems[0].why.startswith("was not sent, and may be marked as if it were")
    assert replay(ledger, kafka, 1) == {Result.REPLAYED: 1}


def test_what_was_sent_and_could_not_be_noted_is_not_sent_again(ledger: LedgerProbe) -> None:
    """The mark from before the sending stands."""
    kafka = FakeKafka()
    replaying = Replaying(ledger.client, PREFIX, kafka, ALICE, suffix=".dlq", force=False)
    with ExitStack() as until_it_has_room:
        kafka.when_sent = lambda: until_it_has_room.enter_context(full(ledger))
        replaying.add(letter(1))
        with pytest.raises(RedisUnavailable):
            replaying.finish()
    assert replaying.tally.counts == {Result.REPLAYED: 1}
    assert replay(ledger, FakeKafka(), 1) == {Result.UNCLEAR: 1}
    assert kafka.sent == [1]


def test_a_batch_is_marked_whole_or_not_at_all(ledger: LedgerProbe) -> None:
    """In one transaction: what was marked and not sent would be unclear for ever."""
    ledger.call("CONFIG", "RESETSTAT")
    assert take(ledger.client, PREFIX, [ready(1), ready(2)], ALICE, force=False) == [Taken(), Taken()]
    told = ledger.client.info("commandstats")
    assert (told["cmdstat_exec"]["calls"], told["cmdstat_hsetnx"]["calls"]) == (1, 2)
