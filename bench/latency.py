"""Produce to task start, at a steady rate, in alternating rounds: Ferry against a `poll` + `.delay()` loop."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from bench.systems import System, both, latencies

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP_MESSAGES = 200
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Round:
    """One round of one system, in milliseconds."""

    system: str
    p50_ms: float
    p99_ms: float


def run(rate: float, seconds: float, rounds: int, *, as_json: bool) -> int:
    """Measure and print; the exit code is 0 when everything ran."""
    with both() as (plain, ferry):
        done = {plain: 0, ferry: 0}
        for system in done:
            done[system] += len(_round(system, rate, WARM_UP_MESSAGES, 0))
        results: list[Round] = []
        for _ in range(rounds):
            for system in (plain, ferry):
                times = _round(system, rate, int(rate * seconds), done[system])
                done[system] += len(times)
                results.append(Round(system.name, _percentile(times, 50), _percentile(times, 99)))
    print(json.dumps(_summary(results)) if as_json else _table(results))
    return 0


def _round(system: System, rate: float, count: int, already: int) -> list[float]:
    """Send `count` messages at an even pace, and wait for their tasks."""
    producer = Producer({"bootstrap.servers": system.bootstrap_servers, "linger.ms": 0})
    start = time.monotonic()
    for number in range(count):
        wait = start + number / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        producer.produce(system.topic, json.dumps({"sent": time.time()}).encode())
        producer.poll(0)
    producer.flush()
    return latencies(system, already, count, TIMEOUT_SECONDS)


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _summary(results: Sequence[Round]) -> dict[str, object]:
    medians = {
        f"{name}_{field}": statistics.median(getattr(item, field) for item in results if item.system == name)
        for name in ("plain", "ferry")
        for field in ("p50_ms", "p99_ms")
    }
    ratios = {f"ratio_{field}": medians[f"ferry_{field}"] / medians[f"plain_{field}"] for field in ("p50_ms", "p99_ms")}
    return {"rounds": [asdict(item) for item in results], **medians, **ratios}


def _table(results: Sequence[Round]) -> str:
    rows = [f"{item.system:6} p50 {item.p50_ms:8.2f} ms   p99 {item.p99_ms:8.2f} ms" for item in results]
    summary = _summary(results)
    rows.append(f"ferry / plain, medians: p50 {summary['ratio_p50_ms']:.2f}   p99 {summary['ratio_p99_ms']:.2f}")
    return "\n".join(rows)
