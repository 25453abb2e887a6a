"""What librdkafka tells besides delivery reports: its log lines, and errors of connections."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import KafkaError

REPEAT_AFTER_SECONDS = 30.0
#: Facilities of librdkafka's log that its error callback tells as well, or that say nothing new while it tries again.
_TOLD_OTHERWISE = frozenset({"FAIL", "ERROR", "GETPID", "MAXPOLL", "SSL"})
#: KAFKA_CLIENT_PROPERTIES are shared with the consumer, whose properties are no mistake here.
_CONSUMER_PROPERTY = "is a consumer property"

logger = logging.getLogger("ferry.producer")


class ClientLogFilter(logging.Filter):
    """Keeps librdkafka's own lines from flooding the log: only what is new passes, and never a storm of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether this line is news."""
        facility = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
        line = record.getMessage()
        if facility in _TOLD_OTHERWISE or _CONSUMER_PROPERTY in line:
            return False
        now = self._clock()
        if now - self._told.get(facility, -REPEAT_AFTER_SECONDS) < REPEAT_AFTER_SECONDS:
            return False
        self._told[facility] = now
        return True


def client_logger() -> logging.Logger:
    """Return the logger for librdkafka's own lines: `ferry.producer.librdkafka`, warnings and worse."""
    client = logging.getLogger("ferry.producer.librdkafka")
    client.setLevel(logging.WARNING)
    if not any(isinstance(each, ClientLogFilter) for each in client.filters):
        client.addFilter(ClientLogFilter())
    return client


class Outage:
    """Tells that Kafka is away once, then every 30 s, and that it is back."""

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """`quiet` only remembers the reason, for an error message of the caller's."""
        self._clock = clock
        self._told_at: float | None = None
        self.quiet = quiet
        self.reason = ""

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's error callback."""
        if error.fatal():
            logger.error("Kafka refuses this producer for good: %s", error.str())
            return
        if error.name() == "_ALL_BROKERS_DOWN":
            # It comes beside the error of each broker, which says why.
            self.reason = self.reason or error.str()
            return
        self.reason = readable(error.str())
        now = self._clock()
        if not self.quiet and (self._told_at is None or now - self._told_at >= REPEAT_AFTER_SECONDS):
            self._told_at = now
            logger.warning("Kafka connection: %s; trying again", self.reason)

    def on_answer(self) -> None:
        """Kafka answered."""
        if self._told_at is not None:
            self._told_at = None
            logger.info("Kafka answers again")


def readable(text: str) -> str:
    """Cut librdkafka's repetitions: `host:1/bootstrap: Connect to … failed: why (after 0ms in state CONNECT)`."""
    text = re.sub(r" \(after \d+ms in state [^)]*\)", "", text)
    return re.sub(r"^\S+?://\S+/(?:bootstrap|\d+): |^\S+/(?:bootstrap|\d+): ", "", text)
