"""Topics as Kafka would tell of them, for the tests of `ferry doctor` and `ferry topics create`."""

from typing import Any

from ferry_console.doctor.kafka_facts import Absence, ClusterFacts, GroupFacts, PartitionFacts, TopicFacts, Unknown

#: What an authorizer that allows all tells of a topic.
ALL_RIGHTS = frozenset({"READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"})
CONFIG = {
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "1",
}
KEEPS_ALL = CONFIG | {"retention.ms": "-1", "max.message.bytes": "2097176"}
CLUSTER = ClusterFacts("localhost:9092", "cluster", 1, ALL_RIGHTS)
GROUP = GroupFacts("ferry", "stable", 1, ALL_RIGHTS)


def partition(number: int = 0, **changed: Any) -> PartitionFacts:
    """A partition where all is well."""
    return PartitionFacts(**{"number": number, "has_leader": True, "replicas": 1, "in_sync": 1, **changed})


def topic(
    name: str = "orders", *partitions: PartitionFacts, config: dict[str, str] | None = CONFIG, **changed: Any
) -> TopicFacts:
    """A topic where all is well."""
    fields = {"operations": ALL_RIGHTS, **changed}
    return TopicFacts(name, partitions or (partition(),), config=config, **fields)


def letters(name: str = "orders.dlq", config: dict[str, str] | None = KEEPS_ALL, **changed: Any) -> TopicFacts:
    """A dead-letter topic where all is well."""
    return topic(name, config=config, **changed)


def unknown(name: str, absence: Absence = Absence.MISSING) -> Unknown:
    """A topic or group that Kafka doesn't tell of."""
    return Unknown(name, absence, "Kafka's words")
