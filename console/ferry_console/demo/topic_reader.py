"""Read a topic from where it ended before the demo: what Kafka really holds."""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ferry_shared.record import next_offset

_TIMEOUT_SECONDS = 15.0
_RETRY_SECONDS = 0.1
_BATCH = 1_000


class TopicReader:
    """Reads the records that come after its creation, once each."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        """The topic may be missing still; then all it will hold is new."""
        self._topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "ferry-demo",  # required by the client; nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
        self._next = self._ends()

    def read(self) -> list[Message]:
        """The records that came since the last call, up to the present end; raises `KafkaException`."""
        ends = self._ends()
        self._next |= dict.fromkeys(ends.keys() - self._next.keys(), 0)
        unread = {partition for partition, end in ends.items() if end > self._next[partition]}
        if not unread:
            return []
        self._consumer.assign([TopicPartition(self._topic, partition, self._next[partition]) for partition in unread])
        try:
            return list(self._until_end(unread))
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

    def _until_end(self, unread: set[int]) -> Iterator[Message]:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while unread and time.monotonic() < deadline:
            for message in self._consumer.consume(_BATCH, 0.1):
                partition, offset, error = message.partition(), message.offset(), message.error()
                if partition is None or offset is None:
                    continue
                if error is None:
                    self._next[partition] = next_offset(offset)
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(partition)
                else:
                    raise KafkaException(error)

    def _ends(self) -> dict[int, int]:
        """The end of each partition; a topic that was created a moment ago is asked for until Kafka knows it."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while True:
            try:
                return self._ends_now()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_SECONDS)

    def _ends_now(self) -> dict[int, int]:
        found = self._consumer.list_topics(self._topic, _TIMEOUT_SECONDS).topics[self._topic]
        return {
            partition: self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), _TIMEOUT_SECONDS)[1]
            for partition in found.partitions
        }
