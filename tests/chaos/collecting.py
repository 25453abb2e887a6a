"""Everything that a run left behind, gathered once it has drained: files, Kafka's topics, the consumers' logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, TopicPartition

from tests.chaos.effects import History
from tests.chaos.evidence import DeadLetter, Evidence
from tests.chaos.evidence_files import read_acquisitions, read_executions, read_pushes, read_redeliveries, read_takes
from tests.chaos.messages import behaviour_of
from tests.chaos.observation import PUSHES_FILE
from tests.chaos.routes import TOPIC
from tests.chaos.tasks import EXECUTIONS_FILE
from tests.support.kafka_records import end_offsets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from confluent_kafka import Message

    from tests.chaos.injection import FaultRecord
    from tests.chaos.system import System

_DEAD_LETTERS = f"{TOPIC}.dlq"
_READ_SECONDS = 60.0


def collect(system: System, faults: Sequence[FaultRecord]) -> Evidence:
    """Read it all. The observer and Ferry's processes may have ended; Kafka must run."""
    consumers = [line for service in system.consumers for path in service.logs for line in _lines(path)]
    servers = system.kafka.bootstrap_servers
    return Evidence(
        log={
            f"{TOPIC}-{m.partition()}-{m.offset()}": behaviour_of(m.value() or b"") for m in _messages(servers, TOPIC)
        },
        pushes=read_pushes(_lines(system.directory / PUSHES_FILE)),
        takes=read_takes(_lines(system.directory / PUSHES_FILE)),
        executions=read_executions(_lines(system.directory / EXECUTIONS_FILE)),
        dead_letters=[_dead_letter(message) for message in _messages(servers, _DEAD_LETTERS)],
        acquisitions=read_acquisitions(consumers),
        redeliveries=read_redeliveries(consumers),
        history=History(tuple(effect for fault in faults for effect in fault.effects)),
    )


def _lines(path: Path) -> Iterator[str]:
    with path.open(errors="replace") as file:
        yield from file


def _dead_letter(message: Message) -> DeadLetter:
    given = message.headers()
    headers = {name: _text(value) for name, value in given} if isinstance(given, list) else {}
    kind, timestamp_ms = message.timestamp()
    assert kind != TIMESTAMP_NOT_AVAILABLE
    origin = f"{TOPIC}-{headers['x-original-partition']}-{headers['x-original-offset']}"
    return DeadLetter(origin, timestamp_ms / 1000, headers["ferry.reason"])


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
