"""Every metric's name, kind, labels and meaning, in one place; the documentation's table is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A Prometheus metric, as prometheus_client takes it (a counter's `_total` is added by the format)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()


PLACE = ("topic", "partition")

RECORDS = Metric("ferry_records", "counter", "Records taken from Kafka.", ("topic",))
DISPATCHED = Metric("ferry_dispatched", "counter", "Tasks queued for the first time.", ("topic",))
INVALID = Metric("ferry_invalid", "counter", "Records that can't become a task.", ("topic",))
OTHERS_REPLAYS = Metric(
    "ferry_others_replays", "counter", "Dead letters of other groups that were sent again, and passed over.", ("topic",)
)
RETRIED = Metric("ferry_retried", "counter", "Tasks queued again because they asked for a retry.", ("topic",))
REDELIVERED = Metric("ferry_redelivered", "counter", "Tasks queued again because their copy had vanished.", ("topic",))
DEAD_LETTERS = Metric("ferry_dead_letters", "counter", "Dead letters that Kafka has acknowledged.", ("topic",))
ACQUISITIONS = Metric(
    "ferry_acquisitions", "counter", "Partitions taken up, by why they start where they do.", ("reason",)
)
LOST_TO_RETENTION = Metric(
    "ferry_lost_to_retention", "counter", "Records that Kafka deleted while they were still needed.", ("topic",)
)
RESTORED = Metric(
    "ferry_restored", "counter", "Copies that the transport handed back, as the ledger counts them.", PLACE
)
REWOUND = Metric(
    "ferry_rewound", "counter", "Offsets dispatched again after a rewind or a loss in Redis, by the ledger.", PLACE
)
UNTRACKED = Metric(
    "ferry_untracked",
    "counter",
    "Messages received by a task that isn't tracked, and not run, by the ledger.",
    (*PLACE, "task"),
)
UNKNOWN_TASK = Metric(
    "ferry_unknown_task",
    "counter",
    "Messages received by a worker that doesn't know their task, and not run, by the ledger.",
    (*PLACE, "task"),
)
DISPATCH_SECONDS = Metric(
    "ferry_dispatch_seconds",
    "histogram",
    "From sending a dispatch to Redis until its replies are read; meanwhile the next records are waited for "
    "(up to 25 ms while workers are behind), taken in and sent.",
)

LOG_END = Metric("ferry_log_end", "gauge", "Kafka's log end offset.", PLACE)
POSITION = Metric("ferry_position", "gauge", "Next offset to dispatch.", PLACE)
COMMITTED = Metric("ferry_committed", "gauge", "Offset below which everything is done.", PLACE)
IN_FLIGHT = Metric("ferry_in_flight", "gauge", "Messages dispatched and not yet done.", PLACE)
OLDEST_SECONDS = Metric("ferry_oldest_in_flight_seconds", "gauge", "Age of the oldest message in flight.", PLACE)
BACKLOG = Metric("ferry_backlog", "gauge", "(log end - position) + in flight: what to scale on.", PLACE)
PAUSED = Metric("ferry_paused", "gauge", "1 while nothing of the partition is taken in.", PLACE)
UP = Metric("ferry_up", "gauge", "1 while the server answers.", ("server",))

ALL = (
    RECORDS, DISPATCHED, INVALID, OTHERS_REPLAYS, RETRIED, REDELIVERED, DEAD_LETTERS, ACQUISITIONS, LOST_TO_RETENTION,
    RESTORED, REWOUND, UNTRACKED, UNKNOWN_TASK, DISPATCH_SECONDS, LOG_END, POSITION, COMMITTED, IN_FLIGHT,
    OLDEST_SECONDS, BACKLOG, PAUSED, UP,
)  # fmt: skip
