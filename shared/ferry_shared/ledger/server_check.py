"""Whether a Redis or Valkey can keep a ledger: asked at start and once a minute, told in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferry_shared.ledger.client import translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

#: The scripts' flags (`#!lua flags=allow-oom`) came with Redis 7; Valkey reports 7.2 or later.
MINIMUM_MAJOR_VERSION = 7
_WITHOUT_EVICTION = "noeviction"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What speaks against a server: `refusals` break a promise, `warnings` only cost work after a crash."""

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


def judge(info: Mapping[str, Any]) -> Judgement:
    """Judge the reply of INFO."""
    refusals, warnings = list[str](), list[str]()
    version = str(info.get("redis_version", "0"))
    if int(version.partition(".")[0] or 0) < MINIMUM_MAJOR_VERSION:
        refusals.append(f"Redis {version} is too old: expected 7.0 or later, or Valkey")
    if info.get("redis_mode", "standalone") == "cluster":
        refusals.append(
            "Redis runs in cluster mode: expected a single server, where the queue and the ledger change in one step"
        )
    policy = str(info.get("maxmemory_policy", _WITHOUT_EVICTION))
    if policy != _WITHOUT_EVICTION and int(info.get("maxmemory", 0)) > 0:
        refusals.append(f"Redis may evict tasks and the ledger (maxmemory-policy {policy}): expected noeviction")
    elif policy != _WITHOUT_EVICTION:
        warnings.append(
            f"Redis would evict tasks once maxmemory is set (maxmemory-policy {policy}): expected noeviction"
        )
    if not int(info.get("aof_enabled", 0)):
        warnings.append(
            "Redis keeps no append-only file: what it forgets at a crash is read again from Kafka and runs again"
        )
    return Judgement(tuple(refusals), tuple(warnings))


def ask(client: redis.Redis) -> Judgement:
    """Ask a server about itself.

    Raises:
        RedisUnavailable: it did not answer.
    """
    with translated():
        info: Any = client.info()
    return judge(info)
