"""What only running processes can tell of a run that has drained, gathered into its folder: Kafka's topics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, TopicPartition

from tests.chaos.evidence import DeadLetter
from tests.chaos.kept import keep, keep_processes, read_evidence
from tests.chaos.routes import TOPIC
from tests.support.kafka_records import end_offsets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message

    from tests.chaos.evidence import Evidence
    from tests.chaos.injection import FaultRecord
    from tests.chaos.system import System

_DEAD_LETTERS = f"{TOPIC}.dlq"
_READ_SECONDS = 60.0


def collect(system: System, faults: Sequence[FaultRecord]) -> Evidence:
    """Read it all. The observer and Ferry's processes may have ended; Kafka must run."""
    servers = system.kafka.bootstrap_servers
    values = {f"{TOPIC}-{m.partition()}-{m.offset()}": m.value() or b"" for m in _messages(servers, TOPIC)}
    letters = [_dead_letter(message) for message in _messages(servers, _DEAD_LETTERS)]
    keep(system.directory, values, letters, [effect for fault in faults for effect in fault.effects])
    keep_processes(
        system.directory,
        {process.log_path.name: process.pid for service in system.consumers for process in service.processes},
    )
    return read_evidence(system.directory)


def _dead_letter(message: Message) -> DeadLetter:
    given = message.headers()
    headers = {name: _text(value) for name, value in given} if isinstance(given, list) else {}
    kind, timestamp_ms = message.timestamp()
    assert kind != TIMESTAMP_NOT_AVAILABLE
    origin = f"{headers['x-original-topic']}-{headers['x-original-partition']}-{headers['x-original-offset']}"
    return DeadLetter(origin, timestamp_ms / 1000, headers["ferry.reason"], headers["ferry.task-id"], message.value())


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def _messages(servers: str, topic: str) -> Iterator[Message]:
    """Every record of a topic, by a plain consumer of a group of its own."""
    ends = {number: end for number, end in end_offsets(servers, topic).items() if end > 0}
    reader = Consumer(
        {"bootstrap.servers": servers, "group.id": "chaos-account", "enable.auto.commit": False,
         "enable.partition.eof": True, "auto.offset.reset": "error"}
    )  # fmt: skip
    try:
        reader.assign([TopicPartition(topic, number, 0) for number in ends])
        deadline = time.monotonic() + _READ_SECONDS
        while ends:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: partitions {sorted(ends)} were not read to their end")
            found = reader.consume(10_000, 1.0)
            for message in found:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    ends.pop(message.partition() or 0, None)
                else:
                    raise KafkaException(error)
    finally:
        reader.close()
