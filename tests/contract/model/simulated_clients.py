"""Ferry's other Kafka clients on the simulated cluster: admin, reader of single records, producer of dead letters."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import OffsetSpec

from ferry_shared.record import TopicPartition
from tests.contract.model.actor import Actor
from tests.contract.model.simulated_group import record_message, unanswered
from tests.contract.model.simulated_log import CLUSTER_ID, DEAD_LETTER_TOPIC, TOPIC, SimulatedLogs

Headers = list[tuple[str, bytes | None]]
DeadLetterWatch = Callable[[bytes | None, Mapping[str, bytes | None]], None]


def _now(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


def _timed_out() -> Future[Any]:
    return _now(KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT)))


class SimulatedAdmin:
    """confluent_kafka's AdminClient; every request is a step, and an answer that is missing is missed at `result`."""

    def __init__(self, logs: SimulatedLogs) -> None:
        self._logs = logs

    def list_topics(self, *_topic: str, timeout: float) -> Any:
        """Metadata."""

        def answer() -> Any:
            partitions = dict.fromkeys(range(len(self._logs.partitions)))
            topic = SimpleNamespace(partitions=partitions)
            return SimpleNamespace(topics={TOPIC: topic, DEAD_LETTER_TOPIC: topic}, cluster_id=CLUSTER_ID)

        assert timeout > 0
        return Actor.current().step("Metadata", answer, unanswered)

    def list_offsets(self, wanted: Mapping[KafkaPartition, OffsetSpec], request_timeout: float) -> Any:
        """ListOffsets."""

        def answer() -> dict[KafkaPartition, Future[Any]]:
            found = {}
            for item, which in wanted.items():
                log = self._logs.log(TopicPartition(item.topic, item.partition))
                found[item] = _now(SimpleNamespace(offset=log.start if which is earliest else log.end))
            return found

        assert request_timeout > 0
        earliest = OffsetSpec.earliest()
        return Actor.current().step("ListOffsets", answer, lambda: {item: _timed_out() for item in wanted})

    def describe_configs(self, resources: Any, request_timeout: float) -> Any:
        """Every topic has room."""
        assert request_timeout > 0

        def answer() -> Any:
            limits = {TOPIC: "1000000", DEAD_LETTER_TOPIC: "4000000"}
            return {item: _now({"max.message.bytes": SimpleNamespace(value=limits[item.name])}) for item in resources}

        return Actor.current().step("DescribeConfigs", answer, lambda: {item: _timed_out() for item in resources})

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> dict[str, Future[Any]]:
        """The topics' ids."""

        def answer() -> dict[str, Future[Any]]:
            return {name: _now(SimpleNamespace(topic_id=self._logs.topic_id)) for name in topics.topic_names}

        assert request_timeout > 0
        return Actor.current().step(
            "DescribeTopics", answer, lambda: {name: _timed_out() for name in topics.topic_names}
        )


class SimulatedReader:
    """confluent_kafka's Consumer, without a group: assigned, it reads from one offset on."""

    def __init__(self, logs: SimulatedLogs) -> None:
        self._logs = logs
        self._place = TopicPartition(TOPIC, 0)
        self._position = 0

    def get_watermark_offsets(self, item: KafkaPartition, timeout: float) -> tuple[int, int]:
        """What the partition holds: one step."""

        def answer() -> tuple[int, int]:
            log = self._logs.log(TopicPartition(item.topic, item.partition))
            return log.start, log.end

        assert timeout > 0
        return Actor.current().step("ListOffsets", answer, unanswered)

    def assign(self, partitions: list[KafkaPartition]) -> None:
        """Read from there."""
        self._place = TopicPartition(partitions[0].topic, partitions[0].partition)
        self._position = partitions[0].offset

    def unassign(self) -> None:
        """Read nothing."""

    def poll(self, timeout: float) -> Message | None:
        """The next record: one step."""

        def fetch() -> Message:
            log = self._logs.log(self._place)
            offset = min((number for number in log.records if number >= self._position), default=None)
            if offset is None:
                return Message(*self._place, log.end, error=KafkaError(KafkaError._PARTITION_EOF))
            self._position = offset + 1
            return record_message(log, offset)

        def lost() -> Message:
            return Message(*self._place, self._position, error=KafkaError(KafkaError._ALL_BROKERS_DOWN))

        assert timeout > 0
        return Actor.current().step("Fetch", fetch, lost)

    def close(self) -> None:
        """Nothing to leave."""


class SimulatedProducer:
    """confluent_kafka's Producer: a dead letter is written at once, one step each, and confirmed at a later poll."""

    def __init__(self, written: DeadLetterWatch, unknown: DeadLetterWatch) -> None:
        self._written, self._unknown = written, unknown
        self._answers: list[Callable[[], None]] = []

    def produce(
        self, topic: str, *, value: bytes | None, key: bytes | None, headers: Headers, on_delivery: Callable[..., None]
    ) -> None:
        """Write one."""
        assert topic == DEAD_LETTER_TOPIC
        assert key is None

        def send() -> KafkaError | None:
            self._written(value, dict(headers))
            return None

        def lost() -> KafkaError:
            self._unknown(value, dict(headers))
            return KafkaError(KafkaError._MSG_TIMED_OUT)

        error = Actor.current().step("Produce", send, lost)
        self._answers.append(lambda: on_delivery(error, None))

    def poll(self, _timeout: float) -> int:
        """What became of those written before."""
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()
        return len(answers)

    def flush(self, _timeout: float) -> int:
        """The same."""
        return self.poll(0)
