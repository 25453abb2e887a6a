"""A batch that failed as a whole, or whose message vanished, on a real Valkey: its messages go on one by one."""

import json
import time
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from pydantic import BaseModel

from ferry_consumer.attention import Attention
from ferry_consumer.division import GONE, Division
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition, Tenure
from ferry_consumer.redelivery import SECOND_LOOK_AFTER_SECONDS, Redelivery
from ferry_consumer.server_clock import ServerClock
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.redelivery import Stranded
from ferry_shared.ledger.singles import FailedSingle
from ferry_shared.ledger.skipping import skip
from ferry_shared.ledger.untracked import Obstacle
from ferry_shared.record import Record, TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.support.held_partition import partition_of
from tests.support.kept_letters import KeptLetters
from tests.support.ledger_probe import FIRST_TOKEN, MINUTE_MS, OWNER, LedgerProbe

#: Offsets 12 and 16 to 18 are gaps.
BATCH, OFFSETS = "10-19-6", (10, 11, 13, 14, 15, 19)
FULL, FULL_OFFSETS = "30-33-4", (30, 31, 32, 33)
SETTINGS = ConsumerSettings(consumer_redeliver_after_seconds=5, consumer_max_record_bytes=1_000)
MINUTES_LATER_MS = 10 * MINUTE_MS


class Order(BaseModel):
    """What the route takes now."""

    number: int


@dataclass
class Kafka:
    """A partition's log, as the record reader reads it: `answers` so many offsets a call, or not at all."""

    log: dict[int, bytes | None]
    answers: int | None = None
    is_away: bool = False
    asked: list[tuple[int, ...]] = field(default_factory=list)

    def read(self, place: TopicPartition, offsets: Iterable[int], _seconds: float) -> Mapping[int, Record | None]:
        """The records, None for one that is gone."""
        wanted = list(offsets)
        self.asked.append(tuple(wanted))
        if self.is_away:
            raise KafkaUnavailable("Kafka: no leader")
        return {
            offset: Record(place.topic, place.partition, offset, 7, b"key", self.log[offset], (("a", b"1"),))
            if offset in self.log
            else None
            for offset in wanted[: self.answers]
        }


@dataclass
class Consumer:
    """What of the consumer has a part in it."""

    ledger: LedgerProbe
    partition: Partition
    kafka: Kafka
    metrics: Metrics = field(default_factory=Metrics)
    letters: KeptLetters = field(default_factory=KeptLetters)
    server: ServerClock = field(default_factory=lambda: ServerClock(lambda: 0.0))
    now: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        client, reader = self.ledger.client, cast("Any", self.kafka)
        self.server.set(self.ledger.now_ms())
        self.division = Division(SETTINGS, client, reader, self.metrics, self.server)
        self.attention = Attention(client, reader, cast("Any", self.letters), self.metrics, self.server, self.division)
        self.redelivery = Redelivery(
            SETTINGS, client, reader, self.metrics, self.server, self.division, lambda: self.now[0]
        )

    @property
    def tenure(self) -> Tenure:
        """The partition's."""
        assert self.partition.tenure is not None
        return self.partition.tenure

    def divide(self, error: str | None = None, *, member: str = BATCH, seconds: float = 1.0) -> bool:
        """Divide a batch."""
        return self.division.divide(self.partition, self.tenure, Stranded(member, FIRST_TOKEN, 1, b""), seconds, error)

    def tick(self) -> None:
        """Act on a snapshot, as the ledger reader does."""
        snapshot, deadline = self.ledger.snapshot(), time.monotonic() + 5
        self.attention.write_dead_letters(self.partition, snapshot, deadline)
        self.attention.divide_failed(self.partition, snapshot, deadline)
        self.attention.enqueue_retries(self.partition, snapshot)

    def look_twice(self) -> None:
        """Look for what has vanished, now and when it is time for the second look."""
        self.server.set(self.ledger.now_ms() + MINUTES_LATER_MS)
        self.partition.oldest_ms = 1
        for _ in range(2):
            self.redelivery.look([self.partition])
            self.now[0] += SECOND_LOOK_AFTER_SECONDS + 1

    def id_of(self, offset: int) -> str:
        """The task id of a message."""
        return f"{self.ledger.place}-{offset}@{self.ledger.group}"

    def counted(self, name: str) -> float:
        """A metric of this topic."""
        counter = getattr(self.metrics, name).labels(self.ledger.place.topic)
        return float(counter._value.get())


@pytest.fixture
def consumer(ledger: LedgerProbe) -> Consumer:
    """Two batches and a single message were dispatched minutes ago; their messages are nowhere."""
    ledger.own(10)
    ledger.dispatch([BATCH, "20", FULL])
    ledger.call("DEL", ledger.queue)
    _let_minutes_pass(ledger)
    route = Route(ledger.place.topic, Order, "task", ledger.queue)
    held = partition_of(ledger, route, committed=10, in_flight=11)
    log = {offset: b'{"number": %d}' % offset for offset in (*OFFSETS, 20, *FULL_OFFSETS)}
    return Consumer(ledger, held, Kafka(dict[int, bytes | None](log)))


def _let_minutes_pass(ledger: LedgerProbe) -> None:
    """What was queued was queued minutes ago, and no lease is live any more."""
    for call in ledger.call("ZRANGE", ledger.keys.times, 0, -1):
        last, time_ms, epoch = call.decode().split(":")
        ledger.call("ZREM", ledger.keys.times, call)
        ledger.call("ZADD", ledger.keys.times, last, f"{last}:{int(time_ms) - MINUTE_MS}:{epoch}")
    for member, stored in ledger.call("HGETALL", ledger.keys.state).items():
        if not member.endswith(b":payload"):
            state = json.loads(stored)
            for name in {"enqueued", "lease"} & state.keys():
                state[name] -= 2 * MINUTE_MS
            ledger.call("HSET", ledger.keys.state, member, json.dumps(state))


def queued(ledger: LedgerProbe) -> list[tuple[str, str, str]]:
    """Id, token and payload of each message in the queue, in the order in which a worker takes them."""
    found = []
    for message in map(json.loads, ledger.queued()):
        ((payload,), _, _) = json.loads(b64decode(message["body"]))
        found.append((message["headers"]["id"], message["headers"]["ferry"]["token"], payload))
    return found


def test_what_vanished_is_made_again_of_its_records(consumer: Consumer) -> None:
    """Each as the single message that the consumer would have made of it; a worker can claim it with what it says."""
    assert consumer.divide() is True
    assert queued(consumer.ledger) == [(consumer.id_of(offset), "1.2", f'{{"number": {offset}}}') for offset in OFFSETS]
    (message, *_) = map(json.loads, consumer.ledger.queued())
    assert message["headers"]["ferry"]["timestamp_ms"] == 7
    assert consumer.ledger.claim("10", "1.2").verdict == "run"
    assert consumer.kafka.asked == [tuple(range(10, 20))]
    assert (consumer.counted("redelivered"), consumer.counted("lost_to_retention")) == (6, 0)
    consumer.ledger.assert_counts_match()


def test_what_its_worker_has_done_is_not_counted(consumer: Consumer, caplog: pytest.LogCaptureFixture) -> None:
    """What is told is what was queued."""
    ledger = consumer.ledger
    ledger.claim(BATCH)
    ledger.worker.progress(ledger.task(BATCH), OWNER, 14, [FailedSingle(11, "ValueError: no", b"")])
    _let_minutes_pass(ledger)
    with caplog.at_level("WARNING", "ferry.consumer"):
        assert consumer.divide() is True
    assert [one for one, _, _ in queued(ledger)] == [consumer.id_of(15), consumer.id_of(19)]
    assert consumer.counted("redelivered") == 2
    assert "2 of its messages are queued one by one, 0 become dead letters" in caplog.text
    assert ledger.due("11").error == "ValueError: no"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b'{"number": "many"}', "invalid: "),
        (b"{", "not-json: "),
        (None, "empty: "),
        (b'{"number": 1, "more": "%s"}' % (b"x" * 1_000), "too-large: "),
    ],
)
def test_what_a_newer_consumer_refuses_becomes_a_dead_letter(
    consumer: Consumer, value: bytes | None, error: str
) -> None:
    """Of a model or a limit that has become stricter; the others run."""
    consumer.kafka.log[13] = value
    assert consumer.divide() is True
    assert [one for one, _, _ in queued(consumer.ledger)] == [consumer.id_of(one) for one in OFFSETS if one != 13]
    assert (consumer.ledger.due("13").error or "").startswith(error)
    assert consumer.counted("redelivered") == 5
    consumer.tick()
    (letter,) = consumer.letters.written
    assert (letter.task_id, letter.record.value, letter.record.key) == (consumer.id_of(13), value, b"key")
    assert len(consumer.kafka.asked) == 1


def test_what_kafka_no_longer_has_of_a_batch_without_gaps(consumer: Consumer) -> None:
    """Each offset was a message: what is gone has a dead letter without value, and is counted as lost there."""
    for offset in (30, 32):
        del consumer.kafka.log[offset]
    assert consumer.divide(member=FULL) is True
    assert [one for one, _, _ in queued(consumer.ledger)] == [consumer.id_of(31), consumer.id_of(33)]
    consumer.tick()
    assert [(letter.task_id, letter.error, letter.record.value) for letter in consumer.letters.written] == [
        (consumer.id_of(offset), GONE, None) for offset in (30, 32)
    ]
    assert (consumer.counted("redelivered"), consumer.counted("lost_to_retention")) == (2, 2)


@pytest.mark.parametrize(
    ("gone", "progress", "lost"), [((10,), None, 1), ((10, 11, 13), 11, 3), ((10, 11), 18, 0), (OFFSETS, None, 6)]
)
def test_what_kafka_no_longer_has_of_a_batch_with_gaps(
    consumer: Consumer, gone: tuple[int, ...], progress: int | None, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell a gap from a record that is gone: it is counted, unless all of them were done."""
    if progress is not None:
        consumer.ledger.claim(BATCH)
        consumer.ledger.worker.progress(consumer.ledger.task(BATCH), OWNER, progress, ())
        _let_minutes_pass(consumer.ledger)
    for offset in gone:
        del consumer.kafka.log[offset]
    with caplog.at_level("ERROR", "ferry.consumer"):
        assert consumer.divide() is True
    left = [offset for offset in OFFSETS if offset not in gone and offset > (progress or 0)]
    assert [one for one, _, _ in queued(consumer.ledger)] == [consumer.id_of(offset) for offset in left]
    assert (consumer.counted("redelivered"), consumer.counted("lost_to_retention")) == (len(left), lost)
    assert (f"deleted up to {lost} of its records" in caplog.text) is (lost > 0)
    consumer.ledger.assert_counts_match()


@pytest.mark.parametrize("regrown", [True, False])
@pytest.mark.parametrize(("end", "left", "lost"), [(15, (10, 11, 13, 14), 1), (19, (10, 11, 13, 14, 15), 0)])
def test_what_a_truncation_has_taken_of_a_batch_with_gaps_is_not_lost_there(
    consumer: Consumer, regrown: bool, end: int, left: tuple[int, ...], lost: int
) -> None:
    """Its sender's log has taken it back, and recovery has told so; what stands there now isn't the batch's.

    At least its last message was taken; where it was that one alone, no gap passes for a loss.
    """
    ledger = consumer.ledger
    consumer.kafka.log = {offset: value for offset, value in consumer.kafka.log.items() if offset < end}
    if regrown:
        consumer.kafka.log |= dict.fromkeys(range(end, 30), b'{"number": 0}')
    ledger.own(end, committed=10, drop_from=end)
    _let_minutes_pass(ledger)
    consumer.partition = partition_of(ledger, consumer.partition.place.route, committed=10, in_flight=6)
    assert consumer.divide() is True
    assert [one for one, _, _ in queued(ledger)] == [consumer.id_of(offset) for offset in left]
    assert (consumer.counted("redelivered"), consumer.counted("lost_to_retention")) == (len(left), lost)


def test_a_log_that_was_truncated_and_grew_again_unnoticed_stops_nothing(consumer: Consumer) -> None:
    """It has more records than the batch had messages."""
    consumer.kafka.log |= dict.fromkeys(range(10, 20), b'{"number": 0}')
    assert consumer.divide() is True
    assert consumer.counted("lost_to_retention") == 0


@pytest.mark.parametrize("trouble", ["away", "partial", "no time"])
def test_as_long_as_kafka_does_not_tell_it_waits(consumer: Consumer, trouble: str) -> None:
    """Nothing is half done: it is asked for again at the next look."""
    consumer.kafka.is_away = trouble == "away"
    consumer.kafka.answers = 9 if trouble == "partial" else None
    before = consumer.ledger.dump()
    assert consumer.divide(seconds=0.0 if trouble == "no time" else 1.0) is False
    assert consumer.divide("untracked: no", seconds=-1.0 if trouble == "no time" else 1.0) is False
    assert consumer.ledger.dump() == before
    assert len(consumer.kafka.asked) == (0 if trouble == "no time" else 2)
    consumer.kafka.is_away, consumer.kafka.answers = False, None
    assert consumer.divide() is True


def test_an_untracked_batch_gives_a_dead_letter_for_each_message(consumer: Consumer) -> None:
    """With its own id, the reason, how often it was started, and its record; then the entries end."""
    ledger = consumer.ledger
    for _ in range(2):
        ledger.worker.untracked(
            ledger.task(BATCH), "task", Obstacle.UNTRACKED, max_claims=1, error="untracked: task has its own base"
        )
    consumer.tick()
    assert consumer.letters.written == []
    consumer.tick()
    written = consumer.letters.written
    assert [letter.task_id for letter in written] == [consumer.id_of(offset) for offset in OFFSETS]
    assert {(letter.error, letter.deliveries, letter.reconstructed) for letter in written} == {
        ("untracked: task has its own base", 2, False)
    }
    assert [letter.record.value for letter in written] == [b'{"number": %d}' % offset for offset in OFFSETS]
    assert len(consumer.kafka.asked) == 1
    for letter in written:
        assert ledger.clear(letter.member, letter.token) is True
    assert ledger.members() == ["20", FULL]
    ledger.assert_counts_match()


def test_a_skipped_batch_gives_a_dead_letter_for_what_is_not_done(consumer: Consumer) -> None:
    """Though its worker goes on; what it says no longer counts."""
    ledger = consumer.ledger
    ledger.claim(BATCH)
    ledger.worker.progress(ledger.task(BATCH), OWNER, 13, ())
    skip(ledger.client, ledger.keys, BATCH, "skipped: by alice: no")
    assert ledger.worker.progress(ledger.task(BATCH), OWNER, None, ()) == "gone"
    consumer.tick()
    consumer.tick()
    assert [(letter.task_id, letter.error) for letter in consumer.letters.written] == [
        (consumer.id_of(offset), "skipped: by alice: no") for offset in (14, 15, 19)
    ]


def test_a_damaged_batch_gives_a_dead_letter_for_each_message(consumer: Consumer) -> None:
    """Whether any of it has run is unknown; Kafka has the values."""
    ledger = consumer.ledger
    ledger.call("HSET", ledger.keys.state, FULL, "{")
    ledger.call("ZADD", ledger.keys.attention, 1, FULL)
    consumer.tick()
    consumer.tick()
    assert [letter.task_id for letter in consumer.letters.written] == list(map(consumer.id_of, FULL_OFFSETS))
    assert all(
        letter.error.startswith("damaged-state: ") and letter.record.value for letter in consumer.letters.written
    )


def test_while_kafka_is_away_a_failed_batch_is_due(consumer: Consumer) -> None:
    """And stands in nobody's way: what Kafka is not asked for goes on."""
    ledger = consumer.ledger
    skip(ledger.client, ledger.keys, BATCH, "skipped: by alice: no")
    ledger.claim("20")
    ledger.outcome("fail", "20")
    consumer.partition.remember_invalid(Record(*ledger.place, 20, 7, None, b"{}", ()))
    consumer.kafka.is_away = True
    consumer.tick()
    assert [letter.member for letter in consumer.letters.written] == ["20"]
    assert ledger.due(BATCH).error == "skipped: by alice: no"
    consumer.kafka.is_away = False
    consumer.tick()
    assert BATCH not in ledger.members()


def test_a_vanished_batch_is_looked_for_twice(consumer: Consumer) -> None:
    """At the first look nothing happens; at the second it is queued one by one, and single messages as ever."""
    consumer.server.set(consumer.ledger.now_ms() + MINUTES_LATER_MS)
    consumer.partition.oldest_ms = 1
    before = consumer.ledger.dump()
    consumer.redelivery.look([consumer.partition])
    consumer.now[0] += SECOND_LOOK_AFTER_SECONDS - 1
    consumer.redelivery.look([consumer.partition])
    assert consumer.ledger.dump() == before
    consumer.now[0] += 2
    consumer.redelivery.look([consumer.partition])
    ids = {one: token for one, token, _ in queued(consumer.ledger)}
    expected = {consumer.id_of(offset): "1.2" for offset in (*OFFSETS, *FULL_OFFSETS)}
    assert ids == expected | {consumer.id_of(20): "1.1"}
    assert consumer.counted("redelivered") == 11
    assert consumer.ledger.members() == [*map(str, (*OFFSETS, 20, *FULL_OFFSETS))]
    consumer.ledger.assert_counts_match()


def test_a_batch_that_fails_between_the_looks_is_not_queued(consumer: Consumer) -> None:
    """An operator has skipped it: that holds."""
    consumer.server.set(consumer.ledger.now_ms() + MINUTES_LATER_MS)
    consumer.partition.oldest_ms = 1
    consumer.redelivery.look([consumer.partition])
    skip(consumer.ledger.client, consumer.ledger.keys, BATCH, "skipped: by alice: no")
    consumer.now[0] += SECOND_LOOK_AFTER_SECONDS + 1
    consumer.redelivery.look([consumer.partition])
    assert not {one for one, _, _ in queued(consumer.ledger)} & set(map(consumer.id_of, OFFSETS))
    assert consumer.ledger.due(BATCH).error == "skipped: by alice: no"


def test_a_batch_that_is_claimed_between_the_looks_is_left_alone(consumer: Consumer) -> None:
    """Its message was on its way."""
    consumer.server.set(consumer.ledger.now_ms() + MINUTES_LATER_MS)
    consumer.partition.oldest_ms = 1
    consumer.redelivery.look([consumer.partition])
    consumer.ledger.claim(BATCH)
    consumer.now[0] += SECOND_LOOK_AFTER_SECONDS + 1
    consumer.redelivery.look([consumer.partition])
    assert BATCH in consumer.ledger.members()
    assert consumer.ledger.worker.progress(consumer.ledger.task(BATCH), OWNER, None, ()) == "recorded"


def test_what_kafka_does_not_tell_in_time_is_looked_for_again(consumer: Consumer) -> None:
    """It stays suspected, and has its second look once Kafka answers."""
    consumer.kafka.is_away = True
    consumer.look_twice()
    assert queued(consumer.ledger) == []
    consumer.kafka.is_away = False
    consumer.redelivery.look([consumer.partition])
    assert len(queued(consumer.ledger)) == 11


def test_a_divided_message_that_vanishes_too_is_queued_again(consumer: Consumer) -> None:
    """It is a message like any other by then, with its own token and copies."""
    consumer.look_twice()
    consumer.ledger.call("DEL", consumer.ledger.queue)
    _let_minutes_pass(consumer.ledger)
    consumer.look_twice()
    found = [json.loads(message)["headers"]["ferry"] for message in consumer.ledger.queued()]
    assert {(one["member"], one["token"], one["copy"]) for one in found} == {
        ("20", "1.1", 3),
        *((str(offset), "1.2", 2) for offset in (*OFFSETS, *FULL_OFFSETS)),
    }


def test_without_a_tenure_nothing_is_divided(consumer: Consumer) -> None:
    """The partition has another owner by now."""
    skip(consumer.ledger.client, consumer.ledger.keys, BATCH, "skipped: by alice: no")
    snapshot = consumer.ledger.snapshot()
    before = consumer.ledger.dump()
    lost = replace(consumer.partition, tenure=None)
    consumer.attention.divide_failed(lost, snapshot, time.monotonic() + 5)
    assert consumer.ledger.dump() == before
    assert consumer.kafka.asked == []
