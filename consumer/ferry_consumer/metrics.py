"""The consumer's metrics: counters that the loop raises per batch, gauges that each status sets anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ferry_shared import metric_names as names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.status import PartitionStatus

_SCRIPT_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """One registry, one attribute a metric."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = self._counter(names.RECORDS)
        self.dispatched = self._counter(names.DISPATCHED)
        self.invalid = self._counter(names.INVALID)
        self.retried = self._counter(names.RETRIED)
        self.redelivered = self._counter(names.REDELIVERED)
        self.dead_letters = self._counter(names.DEAD_LETTERS)
        self.acquisitions = self._counter(names.ACQUISITIONS)
        self.lost_to_retention = self._counter(names.LOST_TO_RETENTION)
        self.dispatch_seconds = Histogram(
            names.SCRIPT_SECONDS.name,
            names.SCRIPT_SECONDS.meaning,
            registry=self.registry,
            buckets=_SCRIPT_BUCKETS_SECONDS,
        )
        self._log_end = self._gauge(names.LOG_END)
        self._position = self._gauge(names.POSITION)
        self._committed = self._gauge(names.COMMITTED)
        self._in_flight = self._gauge(names.IN_FLIGHT)
        self._oldest = self._gauge(names.OLDEST_SECONDS)
        self._backlog = self._gauge(names.BACKLOG)
        self._paused = self._gauge(names.PAUSED)
        self.up = self._gauge(names.UP)

    def _counter(self, metric: names.Metric) -> Counter:
        return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def _gauge(self, metric: names.Metric) -> Gauge:
        return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)

    def show(self, statuses: Sequence[PartitionStatus]) -> None:
        """Set the gauges to these partitions, and forget those that went to another consumer."""
        gauges = (
            self._log_end, self._position, self._committed, self._in_flight, self._oldest, self._backlog, self._paused
        )  # fmt: skip
        for gauge in gauges:
            gauge.clear()
        for status in statuses:
            values = (
                status.log_end, status.position, status.committed, status.in_flight, _oldest_seconds(status),
                status.backlog, status.paused is not None,
            )  # fmt: skip
            for gauge, value in zip(gauges, values, strict=True):
                gauge.labels(status.topic, status.partition).set(value)

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self.registry)


def _oldest_seconds(status: PartitionStatus) -> float:
    return max(0, status.at_ms - status.oldest_ms) / 1000 if status.oldest_ms else 0.0
