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
_POLICY = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file"


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against a server, in a sentence, and what its operator can do about it."""

    told: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What speaks against a server: `refusals` break a promise, `warnings` only cost work after a crash."""

    refusals: tuple[Objection, ...]
    warnings: tuple[Objection, ...]


def judge(info: Mapping[str, Any]) -> Judgement:
    """Judge the reply of INFO."""
    refusals, warnings = list[Objection](), list[Objection]()
    version = str(info.get("redis_version", "0"))
    if int(version.partition(".")[0] or 0) < MINIMUM_MAJOR_VERSION:
        refusals.append(
            Objection(
                f"Redis {version} is too old: expected 7.0 or later, or Valkey",
                "install Redis 7 or later, or Valkey",
            )
        )
    if info.get("redis_mode", "standalone") == "cluster":
        refusals.append(
            Objection(
                "Redis runs in cluster mode: expected a single server, where the queue and the ledger change in one "
                "step",
                "use a server without cluster mode",
            )
        )
    policy = str(info.get("maxmemory_policy", _WITHOUT_EVICTION))
    if policy != _WITHOUT_EVICTION and int(info.get("maxmemory", 0)) > 0:
        refusals.append(
            Objection(f"Redis may evict tasks and the ledger (maxmemory-policy {policy}): expected noeviction", _POLICY)
        )
    elif policy != _WITHOUT_EVICTION:
        warnings.append(
            Objection(
                f"Redis would evict tasks once maxmemory is set (maxmemory-policy {policy}): expected noeviction",
                _POLICY,
            )
        )
    if not int(info.get("aof_enabled", 0)):
        warnings.append(
            Objection(
                "Redis keeps no append-only file: what it forgets at a crash is read again from Kafka and runs again",
                "CONFIG SET appendonly yes, and the same in its configuration file; or leave it, if tasks may run "
                "again",
            )
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
