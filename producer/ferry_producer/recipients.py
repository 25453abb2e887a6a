"""Whom an outbox tells: each message's own function, or one account of many lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_producer.delivery import Delivered

if TYPE_CHECKING:
    from confluent_kafka import Message as KafkaMessage

    from ferry_producer.delivery import Settle, Undelivered
    from ferry_producer.job import Told
    from ferry_producer.lines import Line


class EachSettled:
    """The token of a message is the function that is called with its outcome."""

    def delivered(self, token: Settle, message: KafkaMessage) -> None:
        """Tell where it is."""
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        place = topic or "", -1 if partition is None else partition
        if offset is None or offset < 0:
            token(Delivered(*place, None))
        else:
            token(Delivered(*place, offset, message.latency()))

    def undelivered(self, token: Settle, outcome: Undelivered) -> None:
        """Tell why not."""
        token(outcome)

    def reported(self) -> None:
        """Each was told."""


class LinesTold:
    """The token of a message is its line. What is acknowledged is told together, as latencies alone."""

    def __init__(self, told: Told, *, confirmed: bool = True) -> None:
        """`confirmed` is False with acks=0: then nobody knows how long Kafka took."""
        self._told = told
        self._confirmed = confirmed
        self._latencies: list[float | None] = []

    def delivered(self, token: Line, message: KafkaMessage) -> None:
        """Keep its latency until all reports were served."""
        self._latencies.append(message.latency())

    def undelivered(self, token: Line, outcome: Undelivered) -> None:
        """Tell it."""
        self._told.fail(token, outcome)

    def reported(self) -> None:
        """Tell what was acknowledged."""
        latencies, self._latencies = self._latencies, []
        self._told.acknowledge(latencies if self._confirmed else [None] * len(latencies))
