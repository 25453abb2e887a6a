"""Ask Kafka for what the doctor judges, by its admin calls; nothing is changed.

Kafka creates its own topic of offsets at the first question for a group.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec

from ferry_console.doctor.kafka_facts import (
    Absence,
    ClusterFacts,
    GroupFacts,
    PartitionFacts,
    TopicFacts,
    Unknown,
)
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from ferry_shared.settings import ConsumerSettings

REQUEST_TIMEOUT_SECONDS = 5.0
_DENIED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_SOON_THERE = frozenset(
    {KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR}
)
_ASK_AGAIN_SECONDS = 0.2
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND})
#: What the client reports from its connections, the most telling first, and what to look at.
_REMEDIES = {
    KafkaError._AUTHENTICATION: "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
    KafkaError._SSL: "check KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_CA_LOCATION",
    KafkaError._RESOLVE: "check the host's name in KAFKA_BOOTSTRAP_SERVERS, and the brokers' advertised.listeners",
    KafkaError._TRANSPORT: "start Kafka, or correct KAFKA_BOOTSTRAP_SERVERS; KAFKA_SECURITY_PROTOCOL must fit, too",
}
AWAY_REMEDY = "check KAFKA_BOOTSTRAP_SERVERS and the network; every broker's advertised address must be reachable"
#: librdkafka ends its sentences with how long the connection was in which state.
_STATE = re.compile(r" \(after \d+ms in state \w+[^)]*\)$")


def librdkafka_version() -> str:
    """The version of the library that is loaded."""
    return str(confluent_kafka.libversion()[0])


class KafkaSide:
    """One client; each call ends within `REQUEST_TIMEOUT_SECONDS`."""

    def __init__(self, settings: ConsumerSettings) -> None:
        """Make the client; raises `ConfigurationError` when it refuses a property."""
        from ferry_consumer.client import created  # noqa: PLC0415 - other services are imported when needed
        from ferry_consumer.client_log import LOG_LEVEL_CRITICAL  # noqa: PLC0415 - other services are imported when needed

        self._servers = settings.kafka_bootstrap_servers
        self._reported: dict[int, str] = {}
        own = {"client.id": "ferry-doctor", "log_level": LOG_LEVEL_CRITICAL, "error_cb": self._note}
        self._admin: AdminClient = created(AdminClient, settings.client_properties() | own)

    def cluster(self) -> ClusterFacts:
        """Ask for the cluster.

        Raises:
            KafkaUnavailable: Kafka did not answer; `remedy` says what to look at.
        """
        deadline = time.monotonic() + REQUEST_TIMEOUT_SECONDS
        try:
            # librdkafka 2.16 ends the process when it describes a cluster of which no broker is in service.
            if not self._admin.list_topics(timeout=REQUEST_TIMEOUT_SECONDS).brokers:
                raise KafkaUnavailable(f"Kafka at {self._servers}: no broker is in service")
            found = self._admin.describe_cluster(
                request_timeout=_left(deadline), include_authorized_operations=True
            ).result()
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka at {self._servers}: {self._reason(error)}") from error
        operations = operation_names(found.authorized_operations)
        return ClusterFacts(self._servers, str(found.cluster_id or ""), len(found.nodes), operations)

    @property
    def remedy(self) -> str:
        """What to look at after what the connections reported."""
        return next((told for code, told in _REMEDIES.items() if code in self._reported), AWAY_REMEDY)

    def topics(self, names: Sequence[str]) -> dict[str, TopicFacts | Unknown]:
        """Ask for topics, all at once; what can't be told of one stands in its place."""
        if not names:
            return {}
        asked = self._admin.describe_topics(
            TopicCollection(list(names)), request_timeout=REQUEST_TIMEOUT_SECONDS, include_authorized_operations=True
        )
        described = {name: _answer(name, future) for name, future in asked.items()}
        present = [name for name, found in described.items() if not isinstance(found, Unknown)]
        configs, newest = self._configs(present), self._newest(present, described)
        return {
            name: found
            if isinstance(found, Unknown)
            else TopicFacts(
                name,
                tuple(_partition(one) for one in found.partitions),
                operation_names(found.authorized_operations),
                configs.get(name),
                newest.get(name),
            )
            for name, found in described.items()
        }

    def group(self, name: str) -> GroupFacts | Unknown:
        """Ask for a consumer group; while Kafka has no coordinator for it yet, again.

        The first question of all for a group makes Kafka create its topic of offsets, which takes a moment.
        """
        deadline = time.monotonic() + REQUEST_TIMEOUT_SECONDS
        asked = self._describe_group(name, deadline)
        while _is_soon_there(asked) and _left(deadline) > _ASK_AGAIN_SECONDS:
            time.sleep(_ASK_AGAIN_SECONDS)
            asked = self._describe_group(name, deadline)
        found = _answer(name, asked)
        if isinstance(found, Unknown):
            return found
        operations = operation_names(found.authorized_operations)
        return GroupFacts(name, found.state.name.lower(), len(found.members), operations)

    def _describe_group(self, name: str, deadline: float) -> Future[Any]:
        return self._admin.describe_consumer_groups(
            [name], request_timeout=_left(deadline), include_authorized_operations=True
        )[name]

    def committed(self, name: str) -> dict[TopicPartition, int] | Unknown:
        """Ask for all offsets that a consumer group has committed."""
        asked = self._admin.list_consumer_group_offsets(
            [confluent_kafka.ConsumerGroupTopicPartitions(name)], request_timeout=REQUEST_TIMEOUT_SECONDS
        )
        found = _answer(name, asked[name])
        if isinstance(found, Unknown):
            return found
        return {
            TopicPartition(one.topic, one.partition): one.offset for one in found.topic_partitions if one.offset >= 0
        }

    def _configs(self, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Each topic's configuration; one that may not be read, or isn't told, is missing."""
        if not names:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        found = {}
        for resource, future in self._admin.describe_configs(
            resources, request_timeout=REQUEST_TIMEOUT_SECONDS
        ).items():
            answer = _answer(resource.name, future)
            if not isinstance(answer, Unknown):
                found[resource.name] = {name: str(entry.value) for name, entry in answer.items()}
        return found

    def _newest(self, names: Sequence[str], described: Mapping[str, Any]) -> Mapping[str, int]:
        """Each topic's highest timestamp; one that may not be asked for is missing."""
        wanted = {
            confluent_kafka.TopicPartition(name, partition.id): OffsetSpec.max_timestamp()
            for name in names
            for partition in described[name].partitions
        }
        asked = self._admin.list_offsets(wanted, request_timeout=REQUEST_TIMEOUT_SECONDS) if wanted else {}
        newest: dict[str, int] = {}
        for place, future in asked.items():
            found = _answer(place.topic, future)
            if not isinstance(found, Unknown):
                newest[place.topic] = max(found.timestamp, newest.get(place.topic, found.timestamp))
        return newest

    def _note(self, error: KafkaError) -> None:
        self._reported.setdefault(error.code(), _STATE.sub("", error.str()))

    def _reason(self, error: KafkaException) -> str:
        """What the connections reported, which says more than that the time was up."""
        self._admin.poll(0)
        return next((self._reported[code] for code in _REMEDIES if code in self._reported), error.args[0].str())


def operation_names(operations: Sequence[Any] | None) -> frozenset[str] | None:
    """Kafka's names of rights; None where it told none, as brokers before 2.3 do."""
    return frozenset(operation.name for operation in operations) if operations else None


def _partition(described: Any) -> PartitionFacts:
    leader = described.leader
    return PartitionFacts(
        described.id, leader is not None and leader.id >= 0, len(described.replicas), len(described.isr)
    )


def _answer(name: str, future: Future[Any]) -> Any:
    """The answer, or why there is none."""
    try:
        return future.result()
    except KafkaException as error:
        code = error.args[0].code()
        absence = Absence.DENIED if code in _DENIED else Absence.MISSING if code in _MISSING else Absence.FAILED
        return Unknown(name, absence, _told(error.args[0]))


def _left(deadline: float) -> float:
    """The seconds until then; librdkafka wants a millisecond at least."""
    return max(0.001, deadline - time.monotonic())


def _told(error: KafkaError) -> str:
    """What librdkafka says; where it names only the question ("ConsumerGroupDescribe: "), the error's name."""
    text = str(error.str())
    return f"{text}{error.name()}" if text.endswith(": ") else text


def _is_soon_there(future: Future[Any]) -> bool:
    error = future.exception()
    return isinstance(error, KafkaException) and error.args[0].code() in _SOON_THERE
