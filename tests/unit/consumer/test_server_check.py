"""Which Redis is fit for the ledger."""

from typing import Any

import pytest

from ferry_shared.ledger.server_check import judge

FIT: dict[str, Any] = {
    "redis_version": "7.2.4", "redis_mode": "standalone", "maxmemory_policy": "noeviction", "maxmemory": 0,
    "aof_enabled": 1,
}  # fmt: skip


def test_a_fit_server_is_not_spoken_against() -> None:
    """Standalone, 7 or later, no eviction, append-only file."""
    judgement = judge(FIT)
    assert (judgement.refusals, judgement.warnings) == ((), ())


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"redis_version": "6.2.14"}, "too old"),
        ({"redis_mode": "cluster"}, "cluster mode"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 1}, "evict"),
    ],
)
def test_what_breaks_a_promise_is_refused(change: dict[str, Any], refusal: str) -> None:
    """Each in a sentence of its own."""
    (objection,) = judge(FIT | change).refusals
    assert refusal in objection.told
    assert objection.remedy


@pytest.mark.parametrize("change", [{"aof_enabled": 0}, {"maxmemory_policy": "allkeys-lru"}])
def test_what_only_costs_work_is_warned_of(change: dict[str, Any]) -> None:
    """A crash then makes Ferry read Kafka again; without maxmemory nothing is evicted yet."""
    judgement = judge(FIT | change)
    assert (judgement.refusals, len(judgement.warnings)) == ((), 1)
