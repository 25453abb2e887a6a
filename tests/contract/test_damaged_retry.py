"""What a worker stored of a task is damaged, or what Kafka has of it is no good any more: the entry ends as a dead
letter, with what is left, and the consumer goes on."""

import json
import time
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest
from pydantic import BaseModel, TypeAdapter

from ferry_consumer.attention import Attention
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition
from ferry_consumer.redelivery import SECOND_LOOK_AFTER_SECONDS, Redelivery
from ferry_consumer.server_clock import ServerClock
from ferry_shared.ledger.keys import Token
from ferry_shared.ledger.skipping import skip
from ferry_shared.message import Message
from ferry_shared.record import Record
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.support.held_partition import partition_of
from tests.support.kept_letters import KeptLetters
from tests.support.ledger_probe import MINUTE_MS, OWNER, LedgerProbe

DAMAGED = pytest.mark.parametrize("stored", [b"", b"{", b'{"retries": 1}', b"[1]"])
LATER_MS = 10 * MINUTE_MS
#: What divides batches; none occurs here.
NO_BATCHES = cast("Any", None)


class NothingToRead:
    """Stands for readers and writers that must not be asked."""


@pytest.fixture
def partition(ledger: LedgerProbe) -> Partition:
    """The partition, as its consumer holds it: two tasks dispatched, the first asked for a retry that is due."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    route = Route(ledger.place.topic, Message, "task", ledger.queue)
    return partition_of(ledger, route, in_flight=2)


def retry_with(ledger: LedgerProbe, member: str, stored: bytes) -> None:
    """A worker asks for a retry at once."""
    ledger.claim(member)
    ledger.worker.retry(ledger.task(member), OWNER, 0, stored)


@DAMAGED
def test_a_retry_that_can_not_be_read_ends_as_a_dead_letter(
    ledger: LedgerProbe, partition: Partition, stored: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """And one beside it that can is queued."""
    retry_with(ledger, "0", stored)
    retry_with(ledger, "1", b'{"body": "[[], {}, {}]", "retries": 1, "timestamp_ms": null}')
    nothing, metrics = cast("Any", NothingToRead()), Metrics()
    before = len(ledger.queued())
    attention = Attention(ledger.client, nothing, nothing, metrics, ServerClock(), nothing)

    with caplog.at_level("INFO", "ferry.consumer"):
        attention.enqueue_retries(partition, ledger.snapshot())

    assert (ledger.due("0").error or "").startswith("damaged-retry: ")
    assert ledger.state("1")["copy"] == 1
    assert len(ledger.queued()) == before + 1
    told = {getattr(record, "task_id", ""): record.getMessage() for record in caplog.records}
    stem = f"{ledger.place}-"
    assert told == {
        f"{stem}0@{ledger.group}": "its next attempt can't be read: it becomes a dead letter",
        f"{stem}1@{ledger.group}": "its retry is due: queued again",
    }


@DAMAGED
def test_a_retry_that_vanished_and_can_not_be_read_ends_too(
    ledger: LedgerProbe, partition: Partition, stored: bytes
) -> None:
    """The search for vanished messages meets the same damage; where nothing is stored Kafka has the record."""
    good = b'{"body": "[[], {}, {}]", "retries": 1, "timestamp_ms": null}'
    retry_with(ledger, "0", good)
    assert ledger.enqueue(ledger.due("0"))
    ledger.call("DEL", ledger.queue)
    ledger.call("HSET", ledger.keys.state, "0:payload", stored or b"?")
    settings = ConsumerSettings(consumer_redeliver_after_seconds=5)
    now, server = [0.0], ServerClock(lambda: 0.0)
    server.set(ledger.now_ms() + LATER_MS)
    partition.oldest_ms = 1
    looks = Redelivery(settings, ledger.client, cast("Any", OnlyEmpty()), Metrics(), server, NO_BATCHES, lambda: now[0])
    _make_old(ledger)

    looks.look([partition])
    now[0] += SECOND_LOOK_AFTER_SECONDS + 1
    looks.look([partition])

    assert (ledger.due("0").error or "").startswith("damaged-retry: ")


class OnlyEmpty:
    """Kafka has none of the records that are asked for."""

    def read(self, *_: object) -> dict[int, None]:
        """Nothing within the time."""
        return {}


def _make_old(ledger: LedgerProbe) -> None:
    """Let the dispatch and the last copy have happened minutes ago."""
    age_ms = ledger.now_ms() - MINUTE_MS
    (call,) = ledger.call("ZRANGE", ledger.keys.times, 0, -1)
    last, _, epoch = call.decode().split(":")
    ledger.call("DEL", ledger.keys.times)
    ledger.call("ZADD", ledger.keys.times, last, f"{last}:{age_ms}:{epoch}")
    state = ledger.call("HGET", ledger.keys.state, "0").decode()
    enqueued = ledger.state("0")["enqueued"]
    ledger.call("HSET", ledger.keys.state, "0", state.replace(f"{enqueued:.0f}", str(age_ms)))


class Reads:
    """Kafka has this record, or at None no longer any."""

    def __init__(self, record: Record | None) -> None:
        self.record = record

    def read(self, _place: object, offsets: list[int], _seconds: float) -> dict[int, Record | None]:
        """The same for each."""
        return dict.fromkeys(offsets, self.record)


class Strict(BaseModel):
    """A model that has become stricter since the record was dispatched."""

    number: int


@pytest.mark.parametrize(
    ("value", "max_bytes", "ending"),
    [
        (b'{"number": "many"}', 1_000, "invalid: "),
        (b"{", 1_000, "not-json: "),
        (None, 1_000, "empty: "),
        (b'{"number": 1}', 5, "too-large: "),
        (b'{"number": 1}', 1_000, None),
    ],
)
def test_a_vanished_message_is_made_again_only_of_a_record_that_is_still_valid(
    ledger: LedgerProbe, partition: Partition, value: bytes | None, max_bytes: int, ending: str | None
) -> None:
    """A consumer with a newer model: its task would fail on what the older one let pass."""
    place = replace(partition.place, adapter=TypeAdapter(Strict))
    newer = Partition(place)
    assert partition.tenure is not None
    newer.start(partition.tenure, 2, 0, 2)
    settings = ConsumerSettings(consumer_redeliver_after_seconds=5, consumer_max_record_bytes=max_bytes)
    now, server = [0.0], ServerClock(lambda: 0.0)
    server.set(ledger.now_ms() + LATER_MS)
    newer.oldest_ms = 1
    reader = cast("Any", Reads(Record(*ledger.place, 0, 7, None, value, ())))
    looks = Redelivery(settings, ledger.client, reader, Metrics(), server, NO_BATCHES, lambda: now[0])
    ledger.claim_with_a_lease_that_is_over("0")
    ledger.claim("1")
    ledger.call("DEL", ledger.queue)
    _make_old(ledger)

    looks.look([newer])
    now[0] += SECOND_LOOK_AFTER_SECONDS + 1
    looks.look([newer])

    if ending is None:
        assert len(ledger.queued()) == 1
        assert ledger.state("0")["copy"] == 2
    else:
        assert ledger.queued() == []
        assert (ledger.due("0").error or "").startswith(ending)


LOOKS_LIKE_A_RETRY = orjson.dumps({"body": '[["other"], {}, {}]', "retries": 0, "timestamp_ms": 1})


PLAIN = b'{"text": "caf\xc3\xa9 \\ud83d"}'


@pytest.mark.parametrize(
    ("value", "ended"),
    [
        *((PLAIN, ended) for ended in ("skipped", "damaged", "failed", "failed at once")),
        *((LOOKS_LIKE_A_RETRY, ended) for ended in ("skipped", "damaged", "failed at once")),
    ],
)
def test_a_dead_letter_without_its_record_has_what_was_the_records_value(
    ledger: LedgerProbe, partition: Partition, value: bytes, ended: str
) -> None:
    """Kafka no longer has it. After a retry the ledger holds the whole next message, after a failure the value."""
    next_message = orjson.dumps({"body": json.dumps([[value.decode()], {}, {}]), "retries": 1, "timestamp_ms": 7})
    token = Token(1, 1)
    if ended != "failed at once":
        retry_with(ledger, "0", next_message)
        assert ledger.enqueue(ledger.due("0"))
        token = Token(1, 2)
    if ended == "damaged":
        ledger.call("HSET", ledger.keys.state, "0", "?")
        ledger.call("ZADD", ledger.keys.attention, 0, "0")
    elif ended == "skipped":
        skip(ledger.client, ledger.keys, "0", "skipped: by alice: enough")
    else:
        ledger.claim("0", str(token))
        ledger.worker.fail(ledger.task("0", str(token)), OWNER, "ValueError: no", value)
    letters, nothing = KeptLetters(), cast("Any", Reads(None))
    attention = Attention(ledger.client, nothing, cast("Any", letters), Metrics(), ServerClock(), nothing)

    ledger.snapshot()
    attention.write_dead_letters(partition, ledger.snapshot(), time.monotonic() + 5)

    (letter,) = letters.written
    assert letter.reconstructed
    assert letter.record.value == value
    assert letter.record.timestamp_ms == (7 if ended in {"skipped", "damaged"} else None)
