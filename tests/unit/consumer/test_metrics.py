"""What Prometheus sees of the ledgers' own counts."""

from dataclasses import replace

from ferry_consumer.metrics import Metrics
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
