"""The load: a burst of messages every second, produced as any program would."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, Message, Producer

from tests.chaos.routes import TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_POLL_SECONDS = 0.02
#: Every new partition gets its share soon.
_PROPERTIES = {"enable.idempotence": True, "linger.ms": 5, "topic.metadata.refresh.interval.ms": 5_000, "log_level": 0}
_FLUSH_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the load: `wanted` is rate times (whole) seconds, `ended` when the last message was handed over.

    `ended` is in seconds since 1970; `refused` has Kafka's own sentences.
    """

    wanted: int
    sent: int
    acknowledged: int
    refused: Sequence[str]
    ended: float


class Load:
    """Sends from its own thread; `acknowledged` counts what Kafka has confirmed."""

    def __init__(self, bootstrap_servers: str, values: Iterator[bytes], rate: int, seconds: float) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "message.timeout.ms": 0, "error_cb": _ignored, **_PROPERTIES}
        )
        self._values = values
        self._rate = rate
        self._seconds = seconds
        self.sent = 0
        self.acknowledged = 0
        self.refused: list[str] = []
        self._ended = 0.0
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self._thread.is_alive()

    def finish(self) -> None:
        """Wait until all is sent and confirmed."""
        self._thread.join()

    @property
    def account(self) -> Sent:
        """What became of it, once it has finished."""
        wanted = self._rate * round(self._seconds)
        return Sent(wanted, self.sent, self.acknowledged, tuple(self.refused), self._ended)

    def _run(self) -> None:
        start = time.monotonic()
        self._ended = time.time()
        for second in range(round(self._seconds)):
            while time.monotonic() < start + second:
                self._producer.poll(_POLL_SECONDS)
            for _ in range(self._rate):
                self._producer.produce(TOPIC, next(self._values), on_delivery=self._delivered)
                self.sent += 1
            self._producer.poll(0)
            self._ended = time.time()
        self._producer.flush(_FLUSH_SECONDS)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.refused.append(error.str())


def _ignored(_error: KafkaError) -> None:
    """Kafka is away every now and then: that is what the run is about."""
