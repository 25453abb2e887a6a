"""A message that is delayed by a field: it waits in the ledger, and takes the way of all others when its time comes."""

import json
import time
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, cast

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME
from pydantic import BaseModel

from ferry_consumer.attention import Attention
from ferry_consumer.dispatch import DispatchLimits, dispatches_of
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition, Tenure
from ferry_consumer.server_clock import ServerClock
from ferry_shared.ledger.consumer_ledger import Acquired
from ferry_shared.ledger.entry_view import view
from ferry_shared.ledger.redelivery import stranded
from ferry_shared.ledger.skipping import skip
from ferry_shared.record import Record, TaskId
from ferry_shared.routes import Route
from tests.support.eventually import eventually
from tests.support.fetched_message import fetched
from tests.support.held_partition import partition_of
from tests.support.kept_letters import KeptLetters
from tests.support.ledger_probe import MINUTE_MS, LedgerProbe, payload_of

LIMITS = DispatchLimits(1_000, 3_600)


class Order(BaseModel):
    """A message."""

    number: int
    after: float | None = None


class Gone:
    """Kafka no longer has any record."""

    def read(self, _place: object, offsets: list[int], _seconds: float) -> dict[int, Record | None]:
        """None of them."""
        return dict.fromkeys(offsets)


@dataclass
class Consumer:
    """What of the consumer has a part in it, on a real ledger."""

    ledger: LedgerProbe
    partition: Partition
    metrics: Metrics
    letters: KeptLetters
    clock: ServerClock

    def take(self, *values: bytes) -> None:
        """Dispatch records."""
        self.clock.set(self.ledger.now_ms())
        sent = (TIMESTAMP_CREATE_TIME, int(time.time() * 1000))
        records = [fetched(offset, value, timestamp=sent) for offset, value in enumerate(values, self.ledger.position)]
        (call,) = dispatches_of(self.partition, records, self.clock.now_ms(), LIMITS)
        self.partition.prepared = [call]
        self.partition.note_sent()
        self.ledger.send(call)
        self.partition.note_dispatched(call)

    def tick(self) -> None:
        """Read the ledger, and do what is due."""
        attention = Attention(
            self.ledger.client,
            cast("Any", Gone()),
            cast("Any", self.letters),
            self.metrics,
            self.clock,
            cast("Any", None),
        )
        snapshot = self.ledger.snapshot()
        self.partition.note_snapshot(snapshot)
        attention.enqueue_retries(self.partition, snapshot)
        attention.write_dead_letters(self.partition, snapshot, time.monotonic() + 1)

    def queued_in_time(self) -> list[dict[str, Any]]:
        """Tick until something is queued; returns the queue."""

        def queued() -> int:
            self.tick()
            return len(self.ledger.queued())

        eventually(queued, 1)
        return [json.loads(message) for message in self.ledger.queued()]

    def count(self, metric: str) -> float:
        """A counter of this topic."""
        return self.metrics.registry.get_sample_value(f"{metric}_total", {"topic": self.ledger.place.topic}) or 0.0


@pytest.fixture
def consumer(ledger: LedgerProbe) -> Consumer:
    """It has just taken the partition up, whose route has a field that delays."""
    ledger.own()
    route = Route(ledger.place.topic, Order, "task", ledger.queue, countdown_field="after")
    return Consumer(ledger, partition_of(ledger, route), Metrics(), KeptLetters(), ServerClock())


def test_it_is_in_flight_and_nowhere_in_the_queue(ledger: LedgerProbe) -> None:
    """Its state says when it is due; it counts like any other, and needs attention then."""
    ledger.own()
    due_ms = ledger.now_ms() + MINUTE_MS
    ledger.dispatch(["0"], {"2": "invalid: no"}, delayed={"1": due_ms, "3": due_ms + 1})
    assert ledger.members() == ["0", "1", "2", "3"]
    assert ledger.queued() == [payload_of("0")]
    state = ledger.state("1")
    assert (state["token"], state["copy"], state["claims"], state["deliveries"], state["due"]) == (
        "1.1",
        0,
        0,
        0,
        due_ms,
    )
    attention = ledger.attention()
    assert (attention["1"], attention["3"]) == (due_ms, due_ms + 1)
    assert [due.member for due in ledger.snapshot().due] == ["2"]
    assert ledger.snapshot().lowest == 0
    ledger.assert_counts_match()


def test_it_runs_when_its_time_has_come(consumer: Consumer, caplog: pytest.LogCaptureFixture) -> None:
    """Once, as its first attempt, with its own payload; what has no delay goes before it."""
    ledger = consumer.ledger
    consumer.take(b'{"number": 1, "after": 0.3}', b'{"number": 2}')
    (other,) = ledger.queued()
    assert json.loads(other)["headers"]["ferry"]["member"] == "1"
    ledger.call("DEL", ledger.queue)
    with caplog.at_level("INFO", "ferry.consumer"):
        (message,) = consumer.queued_in_time()
    assert ledger.now_ms() >= ledger.state("0")["enqueued"] > 0
    (payload,), kwargs, _ = json.loads(b64decode(message["body"]))
    assert (payload, kwargs) == ('{"number": 1, "after": 0.3}', {})
    assert (message["headers"]["retries"], message["headers"]["eta"]) == (0, None)
    header = message["headers"]["ferry"]
    assert (header["member"], header["token"], header["copy"]) == ("0", "1.1", 1)
    assert "its time has come: queued" in caplog.text
    assert (consumer.count("ferry_dispatched"), consumer.count("ferry_retried")) == (1, 0)
    consumer.tick()
    assert len(ledger.queued()) == 1
    assert ledger.claim("0").verdict == "run"
    ledger.outcome("done", "0")
    assert "0" not in ledger.members()
    assert ledger.stored_payload("0") is None
    ledger.assert_counts_match()


def test_it_is_not_queued_before(consumer: Consumer) -> None:
    """However often the ledger is read; the search for vanished messages leaves it alone, too."""
    ledger = consumer.ledger
    consumer.take(b'{"number": 1, "after": 600}')
    for _ in range(3):
        consumer.tick()
    assert ledger.queued() == []
    tenure = consumer.partition.tenure
    assert tenure is not None
    look = stranded(ledger.client, ledger.keys, tenure.transport, ledger.ownership, age_ms=0, limit=10)
    assert look.entries == ()
    assert ledger.attention()["0"] == pytest.approx(ledger.now_ms() + 600_000, abs=10_000)


def test_another_consumer_takes_it_over(consumer: Consumer) -> None:
    """The wait is the ledger's: it goes on under the next epoch, with the token that it has."""
    ledger = consumer.ledger
    consumer.take(b'{"number": 1, "after": 0.2}')
    taken = ledger.acquire(1, committed=0)
    assert isinstance(taken, Acquired)
    tenure = consumer.partition.tenure
    assert tenure is not None
    consumer.partition.start(
        Tenure(taken.ownership, tenure.topic_id, tenure.template, tenure.transport), 1, 0, taken.entries
    )
    (message,) = consumer.queued_in_time()
    assert message["headers"]["ferry"]["token"] == "1.1"
    assert ledger.claim("0").verdict == "run"


def test_too_long_a_delay_is_a_dead_letter(consumer: Consumer) -> None:
    """The field is named; the record is written as it was."""
    consumer.take(b'{"number": 1, "after": 3601}')
    consumer.tick()
    (letter,) = consumer.letters.written
    assert letter.error == "invalid: after: later than CONSUMER_MAX_COUNTDOWN_SECONDS (3600) allows"
    assert letter.record.value == b'{"number": 1, "after": 3601}'


def test_it_can_be_skipped_while_it_waits(consumer: Consumer) -> None:
    """Its dead letter has its value also where Kafka no longer has the record."""
    ledger = consumer.ledger
    consumer.take(b'{"number": 1, "after": 600}')
    skip(ledger.client, ledger.keys, "0", "skipped: by somebody")
    consumer.tick()
    (letter,) = consumer.letters.written
    assert (letter.record.value, letter.reconstructed) == (b'{"number": 1, "after": 600}', True)
    assert letter.record.timestamp_ms is not None


def test_people_are_told_until_when(consumer: Consumer) -> None:
    """`ferry trace` and `ferry in-flight list` judge by this."""
    ledger = consumer.ledger
    consumer.take(b'{"number": 1, "after": 600}')
    entry = view(ledger.client, "", TaskId(ledger.group, *ledger.place, 0, 0))
    assert entry.state is not None
    assert entry.state.due_ms is not None
    assert (entry.state.token, entry.state.deliveries, entry.taken) == ("1.1", 0, False)
