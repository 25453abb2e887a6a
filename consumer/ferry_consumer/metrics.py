"""The consumer's metrics: counters that the loop raises per batch, gauges that each status sets anew.

Four counters come from the ledger instead, which counts across consumers: each partition's owner shows its total, so
that the sum over all consumers counts nothing twice, and a partition that moves takes its total along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from ferry_shared import metric_names as names
from ferry_shared.ledger.untracked import Obstacle
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferry_shared.ledger.untracked import Untracked
    from ferry_shared.status import PartitionStatus

    UntrackedByPlace = Mapping[TopicPartition, Sequence[Untracked]]

_DISPATCH_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class LedgerCounters(Collector):
    """The counts that ledgers keep, of the partitions in the last status."""

    def __init__(self) -> None:
        self.statuses: Sequence[PartitionStatus] = ()
        self.untracked: UntrackedByPlace = {}

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give Prometheus the totals; called by the threads of the HTTP server."""
        statuses = tuple(self.statuses)
        restored, rewound, untracked, unknown = (
            CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for metric in (names.RESTORED, names.REWOUND, names.UNTRACKED, names.UNKNOWN_TASK)
        )
        by_obstacle = {Obstacle.UNTRACKED: untracked, Obstacle.UNKNOWN: unknown}
        for status in statuses:
            place = [status.topic, str(status.partition)]
            restored.add_metric(place, status.restored)
            rewound.add_metric(place, status.rewound)
            for found in self.untracked.get(TopicPartition(status.topic, status.partition), ()):
                by_obstacle[found.obstacle].add_metric([*place, found.task], found.count)
        yield from (restored, rewound, untracked, unknown)


class Metrics:
    """One registry, one attribute a metric."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = self._counter(names.RECORDS)
        self.dispatched = self._counter(names.DISPATCHED)
        self.invalid = self._counter(names.INVALID)
        self.others_replays = self._counter(names.OTHERS_REPLAYS)
        self.retried = self._counter(names.RETRIED)
        self.redelivered = self._counter(names.REDELIVERED)
        self.dead_letters = self._counter(names.DEAD_LETTERS)
        self.acquisitions = self._counter(names.ACQUISITIONS)
        self.lost_to_retention = self._counter(names.LOST_TO_RETENTION)
        self._ledger_counters = LedgerCounters()
        self.registry.register(self._ledger_counters)
        self.dispatch_seconds = Histogram(
            names.DISPATCH_SECONDS.name,
            names.DISPATCH_SECONDS.meaning,
            registry=self.registry,
            buckets=_DISPATCH_BUCKETS_SECONDS,
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

    def show(self, statuses: Sequence[PartitionStatus], untracked: UntrackedByPlace | None = None) -> None:
        """Set the gauges to these partitions, and forget those that went to another consumer.

        `untracked` is by partition; None leaves it as it was.
        """
        if untracked is not None:
            self._ledger_counters.untracked = untracked
        gauges = (
            self._position, self._committed, self._in_flight, self._oldest, self._backlog, self._paused
        )  # fmt: skip
        self._ledger_counters.statuses = statuses
        for gauge in (self._log_end, *gauges):
            gauge.clear()
        for status in statuses:
            if status.log_end >= 0:
                self._log_end.labels(status.topic, status.partition).set(status.log_end)
            values = (
                status.position, status.committed, status.in_flight, _oldest_seconds(status),
                status.backlog, status.paused is not None,
            )  # fmt: skip
            for gauge, value in zip(gauges, values, strict=True):
                gauge.labels(status.topic, status.partition).set(value)

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self.registry)


def _oldest_seconds(status: PartitionStatus) -> float:
    return max(0, status.at_ms - status.oldest_ms) / 1000 if status.oldest_ms else 0.0
