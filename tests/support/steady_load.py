"""Messages that keep coming while a test does something else."""

import threading
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Message, Producer

from tests.support.messages import texts

_BATCH_SECONDS = 0.05
BROKEN = b"broken"


class SteadyLoad:
    """Sends from its beginning to its end, `rate` messages a second; every `broken_every`-th is no JSON.

    `sent` is how many valid ones there are, numbered from 0, and `broken` how many others, once it has ended.
    """

    def __init__(self, bootstrap_servers: str, topic: str, rate: int = 200, broken_every: int = 20) -> None:
        self.sent = self.broken = 0
        self._topic = topic
        self._batch = max(1, int(rate * _BATCH_SECONDS))
        self._broken_every = broken_every
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 1})
        self._failed: list[KafkaError] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Send nothing more; everything is acknowledged then."""
        self._is_over.set()
        self._thread.join()
        assert self._producer.flush(30.0) == 0
        assert not self._failed, self._failed[0]

    def _send(self) -> None:
        while not self._is_over.wait(_BATCH_SECONDS):
            for _ in range(self._batch):
                if (self.sent + self.broken) % self._broken_every == self._broken_every - 1:
                    self._produce(BROKEN)
                    self.broken += 1
                else:
                    self._produce(texts(self.sent)[0])
                    self.sent += 1

    def _produce(self, value: bytes) -> None:
        self._producer.produce(self._topic, value, on_delivery=self._delivered)
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)
