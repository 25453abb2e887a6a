"""What librdkafka reports from its own threads: brokers that can't be reached are told once a while, not in a storm."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("ferry.consumer")

#: librdkafka's `log_level` (syslog numbers): its own lines repeat what `error_cb` reports, many times over.
LOG_LEVEL_CRITICAL = 2
REPEAT_AFTER_SECONDS = 30.0


def is_fatal(error: KafkaError) -> bool:
    """Tell whether the client is beyond help (librdkafka marks some of these errors only by their code)."""
    return error.fatal() or error.code() in {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID}


class ClientLog:
    """An `error_cb`: says what is wrong with the connection, the same thing at most every 30 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[int, float] = {}
        self.fatal: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """Log an error unless it was logged lately; keep a fatal one for the loop, which ends over it."""
        if is_fatal(error):
            self.fatal = error
            return
        code, now = error.code(), self._clock()
        if now - self._told.get(code, -REPEAT_AFTER_SECONDS) < REPEAT_AFTER_SECONDS:
            return
        self._told[code] = now
        if code == KafkaError._AUTHENTICATION:
            log.error("Kafka refuses the login: %s; check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD", error.str())
        else:
            log.warning("Kafka: %s", error.str())
