"""What Prometheus sees of the partitions."""

from dataclasses import replace

from ferry_consumer.metrics import Metrics
from ferry_shared.ledger.untracked import Obstacle, Untracked
from ferry_shared.record import TopicPartition
from ferry_shared.status import PartitionStatus

STATUS = PartitionStatus(1, "orders", 0, "host:1", 100, 60, 90, 30, 1, 4, 3, 2, None)


def test_the_ledgers_counts_are_counters_of_the_partitions_at_hand() -> None:
    """Totals, not sums of what this process saw; a partition that went away takes its total along."""
    metrics = Metrics()
    metrics.show([STATUS, replace(STATUS, partition=1, restored=8)])
    text = metrics.text().decode()
    assert 'ferry_restored_total{partition="0",topic="orders"} 3.0' in text
    assert 'ferry_restored_total{partition="1",topic="orders"} 8.0' in text
    assert 'ferry_rewound_total{partition="0",topic="orders"} 2.0' in text
    assert "# TYPE ferry_rewound_total counter" in text

    metrics.show([replace(STATUS, partition=1, restored=8)])
    assert 'ferry_restored_total{partition="0"' not in metrics.text().decode()


def test_tasks_that_are_not_tracked_are_counted_by_name() -> None:
    """Of the partitions at hand; when Redis tells nothing the last word stands."""
    metrics = Metrics()
    place = TopicPartition("orders", 0)
    metrics.show([STATUS], {place: [Untracked("plain", 3, 1)], TopicPartition("orders", 9): [Untracked("plain", 5, 1)]})
    sample = 'ferry_untracked_total{partition="0",task="plain",topic="orders"} 3.0'
    assert sample in metrics.text().decode()
    assert 'partition="9"' not in metrics.text().decode()
    metrics.show([STATUS])
    assert sample in metrics.text().decode()
    metrics.show([STATUS], {place: []})
    assert "ferry_untracked_total{" not in metrics.text().decode()


def test_tasks_that_are_not_known_have_a_counter_of_their_own() -> None:
    """The same task can be unknown to one worker and untracked in another: two samples of one name would clash."""
    metrics = Metrics()
    received = [Untracked("plain", count, 1, obstacle) for count, obstacle in enumerate(Obstacle, 3)]
    metrics.show([STATUS], {TopicPartition("orders", 0): received})
    text = metrics.text().decode()
    assert 'ferry_untracked_total{partition="0",task="plain",topic="orders"} 3.0' in text
    assert 'ferry_unknown_task_total{partition="0",task="plain",topic="orders"} 4.0' in text


def test_a_log_end_that_kafka_did_not_tell_has_no_sample() -> None:
    """The position in its place would look like a log that was read to its end."""
    metrics = Metrics()
    metrics.show([STATUS])
    assert 'ferry_log_end{partition="0",topic="orders"} 100.0' in metrics.text().decode()
    metrics.show([replace(STATUS, log_end=-1)])
    text = metrics.text().decode()
    assert "ferry_log_end{" not in text
    assert 'ferry_backlog{partition="0",topic="orders"} 30.0' in text
