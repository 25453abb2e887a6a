"""Judge a Redis: by the rules of the consumer's start, and by what those don't ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferry_console.doctor.finding import Area, error, ok, warning
from ferry_shared.ledger import server_check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.redis_facts import RedisFacts

_MIB = 1024 * 1024
AWAY_REMEDY = "start it, or correct CELERY_BROKER_URL; redis-cli -u with that URL and PING shows whether it answers"


def redis_findings(facts: RedisFacts, memory_limit_ratio: float) -> Iterator[Finding]:
    """All that is to be said of the server; `memory_limit_ratio` is the share of maxmemory at which intake pauses."""
    info = facts.info
    yield ok(
        Area.REDIS,
        f"{server_name(info)} at {facts.address} answers in {facts.round_trip_seconds * 1000:.1f} ms",
    )
    judgement = server_check.judge(info)
    for refusal in judgement.refusals:
        yield error(Area.REDIS, refusal.told, refusal.remedy)
    for objection in judgement.warnings:
        yield warning(Area.REDIS, objection.told, objection.remedy)
    if not judgement.refusals and not judgement.warnings:
        yield ok(Area.REDIS, "fit for queue and ledger: one server, no eviction, append-only file")
    yield from _writable(info)
    yield memory(info, memory_limit_ratio)


def server_name(info: Mapping[str, Any]) -> str:
    """What it calls itself: Valkey tells its own version beside the one of Redis that it is compatible with."""
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', 'of unknown version')}"


def memory(info: Mapping[str, Any], ratio: float) -> Finding:
    """Judge the memory in use against `maxmemory`, or against the machine's where there is no maximum."""
    from ferry_consumer.memory_limit import is_nearly_full  # noqa: PLC0415 - other services are imported when needed

    used, maximum = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    machine = int(info.get("total_system_memory", 0))
    told = f"{_size(used)} of memory in use"
    if maximum:
        told = f"{told}, {used * 100 // maximum} % of maxmemory ({_size(maximum)})"
        if is_nearly_full(used, maximum, ratio, was=False):
            return warning(
                Area.REDIS,
                f"{told}: intake is paused from {ratio:.0%} on (CONSUMER_REDIS_MEMORY_LIMIT_RATIO)",
                "raise maxmemory, or add workers; ferry status tells where the backlog is",
            )
        return ok(Area.REDIS, told)
    if is_nearly_full(used, machine, ratio, was=False):
        return warning(
            Area.REDIS,
            f"{told}, {used * 100 // machine} % of its machine's, and no maxmemory: the kernel will end it",
            "set maxmemory, so that intake pauses before; add memory or workers",
        )
    return ok(Area.REDIS, f"{told}; without maxmemory intake never pauses for it")


def _writable(info: Mapping[str, Any]) -> Iterator[Finding]:
    """What makes a server that answers refuse to write."""
    if info.get("role") == "slave":
        yield error(
            Area.REDIS,
            "this is a replica, which takes no writes",
            "have CELERY_BROKER_URL name the primary; INFO replication tells which that is",
        )
    if int(info.get("loading", 0)):
        yield error(Area.REDIS, "it is still loading its data", "wait for it; consumers and workers do")
    failed = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if info.get(name, "ok") != "ok"]
    if failed:
        yield error(
            Area.REDIS,
            f"it could not write to its disk ({', '.join(failed)}), and may refuse all writes until it can",
            "make room on its disk; its log tells what failed",
        )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:,.1f} MiB"
