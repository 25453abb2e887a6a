"""Topics that are recreated, grow, or have gaps."""

import signal
from collections import Counter

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, Place, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import add_partitions, produce_in_transactions, recreate_topic
from tests.support.kafka_records import create_topic, end_offsets, read_all

#: librdkafka looks for changed topics every 5 minutes unless told otherwise.
LOOK_OFTEN = {"KAFKA_CLIENT_PROPERTIES": '{"topic.metadata.refresh.interval.ms": 500}'}


def test_a_topic_recreated_longer_than_the_position_runs_from_its_beginning(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """The offsets fit, the topic id tells: tasks of the old topic are stale, those of the new one all run."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    consumer = acting.consumer()
    acting.produce(acts(20))
    eventually(acting.queued, 20)
    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait() == 0
    recreate_topic(kafka.bootstrap_servers, topic)
    acting.produce(acts(50))
    assert acting.in_flight() == 20
    acting.consumer("next").wait_for_text(rf"{topic}-0: from offset 0 \(the topic was created anew")
    acting.worker()
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(50)))


def test_a_topic_recreated_under_a_running_consumer_runs_from_its_beginning(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Also when it is longer than the position before the consumer looks again."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    consumer = acting.consumer(settings={"CONSUMER_STATUS_INTERVAL_SECONDS": "1", **LOOK_OFTEN})
    acting.produce(acts(20))
    eventually(acting.queued, 20)
    recreate_topic(kafka.bootstrap_servers, topic)
    acting.produce(acts(50))
    assert acting.in_flight() == 20
    consumer.wait_for_text(rf"{topic}-0: from offset 0 \(the topic was created anew", timeout_seconds=40)
    acting.worker()
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(50)))


def test_partitions_that_are_added_start_at_their_beginning(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """With `latest` the group starts at each end; what comes into partitions that are added later is not skipped."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    acting = Acting(ferry)
    for partition in range(2):
        acting.produce(acts(5), partition)
    consumer = acting.consumer(settings={"CONSUMER_OFFSET_RESET": "latest", **LOOK_OFTEN})
    for partition in range(2):
        consumer.wait_for_text(rf"{topic}-{partition}: from offset 5 \(the group is new")
    acting.produce(acts(200), 0)
    eventually(acting.in_flight, 200)
    add_partitions(kafka.bootstrap_servers, topic, 4)
    for partition in (2, 3):
        acting.produce(acts(10), partition)
    for partition in (2, 3):
        consumer.wait_for_text(rf"{topic}-{partition}: from offset 0 ")
    acting.worker()
    acting.settle()
    acting.assert_accounted(places(range(5, 205)) | places(range(10), 2) | places(range(10), 3))
    assert set(acting.started().values()) == {1}


def test_aborted_transactions_never_run_and_their_gaps_hold_nothing_up(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Markers take offsets too: the position passes them, across a killed consumer, and the commit reaches the end."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    instance = {"CONSUMER_INSTANCE_ID": "same"}
    consumer = acting.consumer(settings=instance)
    consumer.wait_for_text(rf"{topic}-0: from offset 0")
    transactions = [(number % 3 != 1, acts(number % 4 + 1, first=10 * number)) for number in range(12)]
    produce_in_transactions(kafka.bootstrap_servers, topic, transactions[:6])
    committed = [values for is_committed, values in transactions[:6] if is_committed]
    eventually(acting.queued, sum(map(len, committed)))
    consumer.kill()
    assert acting.in_flight() > 0
    produce_in_transactions(kafka.bootstrap_servers, topic, transactions[6:])
    acting.consumer("next", instance).wait_for_text("continued from the ledger")
    acting.worker()
    acting.settle()
    sent = sum(len(values) for is_committed, values in transactions if is_committed)
    aborted = sum(len(values) for is_committed, values in transactions if not is_committed)
    assert end_offsets(kafka.bootstrap_servers, topic) == {0: sent + aborted + len(transactions)}
    acting.assert_accounted()
    assert (acting.started().total(), set(acting.started().values())) == (sent, {1})


@pytest.fixture
def compacting(kafka: LocalKafka) -> None:
    """The broker's cleaner looks all the time instead of every 15 s."""
    entry = ConfigEntry("log.cleaner.backoff.ms", "100", incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    resource = ConfigResource(ResourceType.BROKER, "1", incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(15)


COMPACTED = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}


def produce_keyed(servers: str, topic: str, values: list[bytes], *, key: bytes) -> None:
    """Write values under one key, each in a segment of its own as far as time allows."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
    for value in values:
        producer.produce(topic, value, key)
    assert producer.flush(15) == 0


@pytest.mark.usefixtures("compacting")
def test_a_record_that_is_compacted_away_in_flight_ends_like_any_other(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Gaps hold nothing up; a task that fails gets a dead letter from what its worker kept."""
    servers = kafka.bootstrap_servers
    create_topic(servers, topic, config=COMPACTED)
    acting = Acting(ferry)
    acting.consumer(settings={"CONSUMER_INSTANCE_ID": "same"})
    acting.worker()
    failing = acts(1, "wait_and_raise")
    produce_keyed(servers, topic, failing, key=b"one")
    eventually(lambda: acting.started()[Place(0, 0)], 1)

    def send(values: list[bytes], key: bytes) -> None:
        # What is in the last segment isn't compacted: each record is read before the next one closes it.
        produce_keyed(servers, topic, values, key=key)
        eventually(lambda: len(acting.started()), end_offsets(servers, topic)[0])

    send(acts(30, first=1), b"one")

    def compacted() -> bool:
        # A segment is closed by the next record that comes after its time.
        send(acts(1), b"other")
        return Place(0, 0) not in {Place(*record[:2]) for record in read_all(servers, topic)}

    eventually(compacted, expected=True)
    assert acting.in_flight() > 0
    assert acting.done()[Place(0, 0)] == 0
    acting.release()
    acting.settle()
    acting.assert_accounted(places(range(end_offsets(servers, topic)[0])))
    assert set(acting.started().values()) == {1}
    (letter,) = acting.dead_letters()
    assert (letter.place, letter.value) == (Place(0, 0), failing[0])
    assert letter.headers["ferry.reconstructed"] == "true"


@pytest.mark.usefixtures("compacting")
def test_gaps_of_a_compacted_topic_are_passed(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """What compaction has left runs once, and the commit reaches the end."""
    servers = kafka.bootstrap_servers
    create_topic(servers, topic, config=COMPACTED)
    acting = Acting(ferry)
    for number in range(5):
        produce_keyed(servers, topic, acts(40, first=40 * number), key=b"key %d" % (number % 2))

    def left() -> int:
        produce_keyed(servers, topic, acts(1), key=b"other")
        return len(read_all(servers, topic))

    eventually(lambda: left() < 60, expected=True)
    acting.consumer()
    acting.worker()
    acting.settle()
    done = acting.done()
    present = {Place(*record[:2]) for record in read_all(servers, topic)}
    assert 0 < len(done) < end_offsets(servers, topic)[0]
    assert present <= done.keys()
    assert acting.started() == done
    assert set(done.values()) == {1}
