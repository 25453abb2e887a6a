"""What a worker stored for the next attempt is damaged: the entry ends as a dead letter, and the consumer goes on."""

from typing import Any, cast

import pytest

from ferry_consumer.attention import Attention
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition, Place, Tenure
from ferry_consumer.redelivery import SECOND_LOOK_AFTER_SECONDS, Redelivery
from ferry_consumer.server_clock import ServerClock
from ferry_consumer.task_message import TaskTemplate
from ferry_shared.ledger.redelivery import Transport
from ferry_shared.message import Message
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.support.ledger_probe import MINUTE_MS, OWNER, LedgerProbe

DAMAGED = pytest.mark.parametrize("stored", [b"", b"{", b'{"retries": 1}', b"[1]"])
LATER_MS = 10 * MINUTE_MS


class NothingToRead:
    """Stands for readers and writers that must not be asked."""


@pytest.fixture
def partition(ledger: LedgerProbe) -> Partition:
    """The partition, as its consumer holds it: two tasks dispatched, the first asked for a retry that is due."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    route = Route(ledger.place.topic, Message, "task", ledger.queue)
    template = TaskTemplate(route, ledger.group, ledger.place, ledger.ownership.ledger)
    transport = Transport(ledger.queue, "unacked", template.stem, template.suffix)
    held = Partition(Place(ledger.place, route, route.adapter, ledger.keys, ledger.queue))
    held.start(Tenure(ledger.ownership, "topic-id", template, transport), 2, 0, 2)
    return held


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
    attention = Attention(ledger.client, nothing, nothing, metrics, ServerClock())

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
    looks = Redelivery(settings, ledger.client, cast("Any", OnlyEmpty()), Metrics(), server, lambda: now[0])
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
