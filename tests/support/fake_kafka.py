"""A Kafka of topics, as confluent_kafka's AdminClient shows it: answers are futures, and it can be away or refuse."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, ConfigResource, NewTopic
from confluent_kafka.admin import ConfigEntry as Entry

from tests.support.topic_facts import ALL_RIGHTS, CONFIG

NEWEST_MS = 1_700_000_000_000


@dataclass
class FakeTopic:
    """What is kept of a topic; `unknown_for` is how often it still counts as unknown after its creation."""

    partitions: int
    replicas: int
    config: Mapping[str, str]
    unknown_for: int = 0


@dataclass
class FakeKafka:
    """One broker. `denied` are topics and groups that this user may not see, `rights` what it may do with others."""

    topics: dict[str, FakeTopic] = field(default_factory=dict)
    rights: frozenset[str] = ALL_RIGHTS
    denied: set[str] = field(default_factory=set)
    configs_denied: bool = False
    is_away: bool = False
    has_brokers: bool = True
    lag: int = 0
    members: int = 0
    coordinator_missing_for: int = 0
    properties: dict[str, Any] = field(default_factory=dict)
    validated: list[str] = field(default_factory=list)

    def add(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """A topic that is there from the beginning, with Kafka's defaults and this besides."""
        self.topics[name] = FakeTopic(partitions, 1, {**CONFIG, **(config or {})})

    def connected(self, _: Any, properties: Mapping[str, Any]) -> "FakeKafka":
        """Stands for `ferry_consumer.client.created`."""
        self.properties = dict(properties)
        return self

    def poll(self, _: float) -> int:
        """Serve what connections report."""
        if self.is_away and "error_cb" in self.properties:
            told = "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused"
            self.properties["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
            self.properties["error_cb"](KafkaError(KafkaError._TRANSPORT, f"{told} (after 0ms in state CONNECT)"))
        return 0

    def list_topics(self, timeout: float) -> Any:
        """What this user sees."""
        assert timeout > 0
        self._require()
        brokers = {1: None} if self.has_brokers else {}
        return SimpleNamespace(topics={name: None for name in self.topics if name not in self.denied}, brokers=brokers)

    def create_topics(
        self, new: Sequence[NewTopic], request_timeout: float, validate_only: bool = False
    ) -> dict[str, Future[Any]]:
        """Create, or only say whether that would be done."""
        assert request_timeout > 0
        return {each.topic: self._created(each, validate_only) for each in new}

    def describe_cluster(self, **_: Any) -> Future[Any]:
        """Its id and its one broker."""
        fields = {"cluster_id": "cluster", "nodes": [1], "authorized_operations": self._operations()}
        return self._answer(KafkaError._TIMED_OUT if self.is_away else None, fields)

    def describe_topics(self, topics: TopicCollection, **_: Any) -> dict[str, Future[Any]]:
        """Partitions and rights."""
        return {name: self._answer(self._problem(name), self._description(name)) for name in topics.topic_names}

    def describe_configs(self, resources: Sequence[ConfigResource], **_: Any) -> dict[ConfigResource, Future[Any]]:
        """Configurations."""
        return {each: self._configuration(each.name) for each in resources}

    def list_offsets(self, wanted: Mapping[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        """The newest timestamp of each partition: a second more with each."""
        return {at: self._answer(None, {"timestamp": NEWEST_MS + 1000 * at.partition}) for at in wanted}

    def describe_consumer_groups(self, names: Sequence[str], **_: Any) -> dict[str, Future[Any]]:
        """State, members and rights."""
        fields = {
            "state": SimpleNamespace(name="STABLE"), "members": [None] * self.members,
            "authorized_operations": self._operations(),
        }  # fmt: skip
        return {name: self._answer(self._group_problem(name), fields) for name in names}

    def _require(self) -> None:
        if self.is_away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def _operations(self) -> list[AclOperation]:
        return [AclOperation[name] for name in sorted(self.rights)]

    def _problem(self, name: str) -> int | None:
        if name in self.denied:
            return KafkaError.TOPIC_AUTHORIZATION_FAILED
        found = self.topics.get(name)
        if found is None or found.unknown_for > 0:
            if found is not None:
                found.unknown_for -= 1
            return KafkaError.UNKNOWN_TOPIC_OR_PART
        return None

    def _group_problem(self, name: str) -> int | None:
        if self.coordinator_missing_for > 0:
            self.coordinator_missing_for -= 1
            return KafkaError.COORDINATOR_NOT_AVAILABLE
        return KafkaError.GROUP_AUTHORIZATION_FAILED if name in self.denied else None

    def _description(self, name: str) -> dict[str, Any]:
        found = self.topics.get(name, FakeTopic(0, 0, {}))
        broker = SimpleNamespace(id=1)
        partitions = [
            SimpleNamespace(id=number, leader=broker, replicas=[broker] * found.replicas, isr=[broker] * found.replicas)
            for number in range(found.partitions)
        ]
        return {"partitions": partitions, "authorized_operations": self._operations()}

    def _configuration(self, name: str) -> Future[Any]:
        problem = KafkaError.TOPIC_AUTHORIZATION_FAILED if self.configs_denied else self._problem(name)
        future: Future[Any] = Future()
        if problem is not None:
            future.set_exception(KafkaException(KafkaError(problem)))
        else:
            future.set_result({key: Entry(key, value) for key, value in self.topics[name].config.items()})
        return future

    def _created(self, new: NewTopic, validate_only: bool) -> Future[Any]:
        if new.replication_factor > 1:
            return self._answer(KafkaError.INVALID_REPLICATION_FACTOR, {})
        if new.topic in self.denied:
            return self._answer(KafkaError.TOPIC_AUTHORIZATION_FAILED, {})
        if new.topic in self.topics:
            return self._answer(KafkaError.TOPIC_ALREADY_EXISTS, {})
        if validate_only:
            self.validated.append(new.topic)
        else:
            self.topics[new.topic] = FakeTopic(new.num_partitions, 1, CONFIG | (new.config or {}), self.lag)
        return self._answer(None, {})

    def _answer(self, problem: int | None, fields: Mapping[str, Any]) -> Future[Any]:
        future: Future[Any] = Future()
        if problem is not None:
            future.set_exception(KafkaException(KafkaError(problem)))
        else:
            future.set_result(SimpleNamespace(**fields))
        return future
