"""Topics: create the missing ones at start, and tell one topic from its successor of the same name."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from ferry_consumer.client import created
from ferry_consumer.client_log import LOG_LEVEL_CRITICAL
from ferry_consumer.dead_letter_topics import new_topic, size_limits, warn_of_narrow
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

REQUEST_TIMEOUT_SECONDS = 5.0
#: A leader has changed, or has come back, and librdkafka's admin client asks it as the one it remembers: for minutes.
_MISLED = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
)
#: Whether it is there matters to nobody.
_ANY_TOPIC = "__consumer_offsets"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which cluster, and which topic of that name: Kafka gives a topic that is created anew a new id."""

    cluster_id: str
    topic_id: str


class TopicNotYetKnown(KafkaUnavailable):
    """A topic has just been created, and the broker that was asked doesn't know it yet: ask again."""


class Topics:
    """Asks Kafka about topics, and creates them."""

    def __init__(self, settings: ConsumerSettings) -> None:
        self._settings = settings
        self._admin = created(
            AdminClient,
            settings.client_properties() | {"client.id": "ferry-consumer-admin", "log_level": LOG_LEVEL_CRITICAL},
        )

    def create_missing(self, topics: Sequence[str]) -> None:
        """Create topics and their dead-letter topics. librdkafka looks for a missing topic only every 5 minutes.

        Raises:
            ConfigurationError: Kafka refuses a name; it takes no two topics that differ only in `.` and `_`.
            KafkaUnavailable: Kafka did not answer, or refused.
        """
        suffix = self._settings.consumer_dead_letter_suffix
        with self._translated():
            present = self._present()
        self.create_sources(topics)
        self.create_dead_letter_topics(topics)
        if older := [topic + suffix for topic in topics if topic + suffix in present]:
            with self._translated():
                warn_of_narrow(size_limits(self._admin, topics), size_limits(self._admin, older), suffix)

    def create_sources(self, topics: Sequence[str], *, only_ask: bool = False) -> tuple[str, ...]:
        """Create the topics that are missing, and return their names; raises as `create_missing` does.

        With `only_ask` nothing is created: Kafka says whether it would.
        """
        with self._translated():
            present = self._present()
            return self._create([self._source(topic) for topic in topics if topic not in present], only_ask=only_ask)

    def create_dead_letter_topics(self, topics: Sequence[str], *, only_ask: bool = False) -> tuple[str, ...]:
        """Create the dead-letter topics that are missing, with room for their source's records.

        Returns their names. With `only_ask` nothing is created: Kafka says whether it would.

        Raises:
            TopicNotYetKnown: a source has just been created, or isn't there.
            ConfigurationError, KafkaUnavailable: as `create_missing`.
        """
        suffix, factor = self._settings.consumer_dead_letter_suffix, self._settings.consumer_topic_replication_factor
        with self._translated():
            present = self._present()
            limits = size_limits(self._admin, [topic for topic in topics if topic in present] if only_ask else topics)
            missing = [topic for topic in topics if topic + suffix not in present]
            return self._create(
                [new_topic(topic + suffix, factor, limits.get(topic)) for topic in missing], only_ask=only_ask
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            too_early = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            kind = TopicNotYetKnown if too_early else KafkaUnavailable
            raise kind(f"Kafka at {self._settings.kafka_bootstrap_servers}: {error.args[0].str()}") from error

    def _present(self) -> Collection[str]:
        return set(self._admin.list_topics(timeout=REQUEST_TIMEOUT_SECONDS).topics)

    def _source(self, topic: str) -> NewTopic:
        return NewTopic(
            topic, self._settings.consumer_topic_partitions, self._settings.consumer_topic_replication_factor
        )

    def _create(self, missing: Iterable[NewTopic], *, only_ask: bool) -> tuple[str, ...]:
        new, created = list(missing), list[str]()
        if not new:
            return ()
        asked = self._admin.create_topics(new, request_timeout=REQUEST_TIMEOUT_SECONDS, validate_only=only_ask)
        for name, future in asked.items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_EXCEPTION:
                    raise ConfigurationError(f"Kafka refuses the topic {name}: {error.args[0].str()}") from error
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
            else:
                created.append(name)
                if not only_ask:
                    log.info("created the topic %s", name)
        return tuple(created)

    def log_ranges(
        self, places: Sequence[TopicPartition], timeout_seconds: float = REQUEST_TIMEOUT_SECONDS
    ) -> dict[TopicPartition, tuple[int, int]]:
        """For each partition the first offset that Kafka still has, and the one after its last.

        Asked over this client's own connection: on the consumer's, the answer waits behind a fetch (500 ms).

        A partition without a leader is missing from the answer.

        Raises:
            KafkaUnavailable: Kafka did not answer for any.
        """
        starts = self._offsets(places, OffsetSpec.earliest(), timeout_seconds)
        ends = self._offsets(places, OffsetSpec.latest(), timeout_seconds)
        return {place: (starts[place], ends[place]) for place in places if place in starts and place in ends}

    def _offsets(
        self, places: Sequence[TopicPartition], which: OffsetSpec, timeout_seconds: float
    ) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        problem: KafkaException | None = None
        misled: set[str] = set()
        if not places:
            return found
        wanted = {confluent_kafka.TopicPartition(place.topic, place.partition): which for place in places}
        for at, future in self._admin.list_offsets(wanted, request_timeout=timeout_seconds).items():
            try:
                found[TopicPartition(at.topic, at.partition)] = future.result().offset
            except KafkaException as error:
                problem = error
                misled |= {at.topic} if error.args[0].code() in _MISLED else set()
        for topic in misled:
            self._refresh(topic)
        if problem and not found:
            raise KafkaUnavailable(f"Kafka: reading the log range of {places[0]}: {problem.args[0].str()}") from problem
        return found

    def _refresh(self, topic: str) -> None:
        """Ask for the topic's leaders anew, for the next try: what the client remembers of them may be minutes old."""
        try:
            self._admin.list_topics(topic, timeout=REQUEST_TIMEOUT_SECONDS)
        except KafkaException as error:
            log.debug("the leaders of %s can't be told now: %s", topic, error)

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        try:
            return len(self._admin.list_topics(topic, timeout=REQUEST_TIMEOUT_SECONDS).topics[topic].partitions)
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka: reading {topic}: {error.args[0].str()}") from error

    def ping(self) -> None:
        """Ask for anything.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        asked = self._admin.describe_topics(TopicCollection([_ANY_TOPIC]), request_timeout=REQUEST_TIMEOUT_SECONDS)
        try:
            asked[_ANY_TOPIC].result()
        except KafkaException as error:
            if _is_no_answer(error):
                raise KafkaUnavailable(f"Kafka: {error.args[0].str()}") from error

    def identities(self, topics: Iterable[str]) -> dict[str, Identity | KafkaUnavailable]:
        """Ask for the ids of the cluster and of topics, all at once; what can't be told of one stands in its place.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        names = list(topics)
        if not names:
            return {}
        asked = self._admin.describe_topics(TopicCollection(names), request_timeout=REQUEST_TIMEOUT_SECONDS)
        told = {topic: _topic_id(topic, described) for topic, described in asked.items()}
        known = [topic for topic, topic_id in told.items() if isinstance(topic_id, str)]
        cluster_id = self._cluster_id(known[0]) if known else ""
        return {topic: Identity(cluster_id, each) if isinstance(each, str) else each for topic, each in told.items()}

    def _cluster_id(self, topic: str) -> str:
        # Not by DescribeCluster: librdkafka 2.16 ends the process (`rko_result` failed) when no broker is in service,
        # as after one that stood still for its session.
        try:
            return str(self._admin.list_topics(topic, timeout=REQUEST_TIMEOUT_SECONDS).cluster_id or "")
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka: asking for the cluster: {error.args[0].str()}") from error


def _topic_id(topic: str, described: Future[Any]) -> str | KafkaUnavailable:
    """Raises KafkaUnavailable when Kafka did not answer."""
    try:
        return str(described.result().topic_id or "")
    except KafkaException as error:
        unavailable = KafkaUnavailable(f"Kafka: describing {topic}: {error.args[0].str()}")
        if _is_no_answer(error):
            raise unavailable from error
        return unavailable


def _is_no_answer(error: KafkaException) -> bool:
    """Whether the client says so itself: its codes end at -100, Kafka's begin with UNKNOWN, which is -1."""
    return bool(error.args[0].code() < KafkaError.UNKNOWN)
