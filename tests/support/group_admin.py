"""What operators do to groups and topics, by Kafka's own admin calls."""

import time
from collections.abc import Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import TopicCollection as Topics
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from tests.support.eventually import eventually
from tests.support.kafka_records import answered, create_topic, end_offsets

_TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.1
#: The group still has members, or its coordinator has only just started: both pass.
_PASSING = frozenset(
    {
        KafkaError.NON_EMPTY_GROUP,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


def set_group_offset(
    bootstrap_servers: str, group: str, topic: str, offset: int, *, partition: int = 0, timeout_seconds: float = 30.0
) -> None:
    """Set a group's offset, as `kafka-consumer-groups --reset-offsets` does.

    Kafka takes it only while the group has no member: waits until those that were killed have timed out.
    """
    admin, deadline = _admin(bootstrap_servers), time.monotonic() + timeout_seconds
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])
    while True:
        try:
            answered = admin.alter_consumer_group_offsets([wanted])[group].result(_TIMEOUT_SECONDS)
            errors = [place.error for place in answered.topic_partitions if place.error is not None]
        except KafkaException as error:
            errors = [error.args[0]]
        if not errors:
            return
        if errors[0].code() not in _PASSING or time.monotonic() > deadline:
            raise AssertionError(f"the offset of {group} could not be set: {errors[0].str()}")
        time.sleep(_POLL_SECONDS)


def delete_group(bootstrap_servers: str, group: str, *, timeout_seconds: float = 30.0) -> None:
    """Delete a group with its commits; waits until it has no member any more."""
    admin = _admin(bootstrap_servers)
    answered(lambda: admin.delete_consumer_groups([group])[group].result(_TIMEOUT_SECONDS), _PASSING, timeout_seconds)


def group_members(bootstrap_servers: str, group: str) -> int:
    """How many members Kafka counts in a group."""
    admin = _admin(bootstrap_servers)
    return len(admin.describe_consumer_groups([group])[group].result(_TIMEOUT_SECONDS).members)


def committed_metadata(bootstrap_servers: str, group: str, topic: str, *, partition: int = 0) -> str:
    """What was committed together with the group's offset; empty if there is no commit."""
    admin = _admin(bootstrap_servers)
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
    (answer,) = admin.list_consumer_group_offsets([asked])[group].result(_TIMEOUT_SECONDS).topic_partitions
    return answer.metadata or ""


def topic_id(bootstrap_servers: str, topic: str) -> str:
    """The id that Kafka gave to the topic of this name; empty if there is none."""
    admin = _admin(bootstrap_servers)
    try:
        return str(admin.describe_topics(Topics([topic]))[topic].result(_TIMEOUT_SECONDS).topic_id)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return ""


def recreate_topic(
    bootstrap_servers: str, topic: str, partitions: int = 1, config: dict[str, str] | None = None
) -> None:
    """Delete a topic and create it anew: the same name, another topic id, and no records."""
    old = topic_id(bootstrap_servers, topic)
    admin = _admin(bootstrap_servers)
    admin.delete_topics([topic], operation_timeout=_TIMEOUT_SECONDS)[topic].result(2 * _TIMEOUT_SECONDS)
    eventually(lambda: topic_id(bootstrap_servers, topic), "")
    create_topic(bootstrap_servers, topic, partitions, config)
    eventually(lambda: topic_id(bootstrap_servers, topic) not in {"", old}, expected=True)


def add_partitions(bootstrap_servers: str, topic: str, total: int) -> None:
    """Raise the number of a topic's partitions to `total`; returns once the broker serves them."""
    admin = _admin(bootstrap_servers)
    admin.create_partitions([NewPartitions(topic, total)])[topic].result(_TIMEOUT_SECONDS)
    eventually(lambda: len(end_offsets(bootstrap_servers, topic)), total)


def delete_records_before(bootstrap_servers: str, topic: str, offset: int, *, partition: int = 0) -> None:
    """Move the log's start to `offset`, as retention does; `end_offsets` says what the highest can be."""
    wanted = TopicPartition(topic, partition, offset)
    admin = _admin(bootstrap_servers)
    deleted = admin.delete_records([wanted])[wanted].result(_TIMEOUT_SECONDS)
    assert deleted.low_watermark == offset, f"the log of {topic} starts at {deleted.low_watermark}, not at {offset}"


def produce_in_transactions(
    bootstrap_servers: str, topic: str, transactions: Sequence[tuple[bool, Sequence[bytes]]], *, partition: int = 0
) -> None:
    """Write each `(committed, values)` as a transaction of its own; Kafka adds a marker record to the log for each.

    Values of a transaction that isn't committed are aborted: in the log, and not for readers of committed records.
    """
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "transactional.id": f"{topic}-{partition}-tests", "linger.ms": 0}
    )
    producer.init_transactions(_TIMEOUT_SECONDS)
    for committed, values in transactions:
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(_TIMEOUT_SECONDS) == 0
        if committed:
            producer.commit_transaction(_TIMEOUT_SECONDS)
        else:
            producer.abort_transaction(_TIMEOUT_SECONDS)


def _admin(bootstrap_servers: str) -> AdminClient:
    """Keep it in a variable until the answer is there: a client that is collected before never answers."""
    return AdminClient({"bootstrap.servers": bootstrap_servers})
