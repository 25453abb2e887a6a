"""Pauses that live in the ledger: of a topic or of one partition, for a whole group, until somebody resumes it.

A hash per group (`keys.pause_key`), with `topic` or `topic:partition` as field. It exists without any ledger, so a
topic can be paused before the first consumer starts. A pause stops intake and nothing else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, Self

import orjson

from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import pause_key
from ferry_shared.ledger.scripts import Call, run

if TYPE_CHECKING:
    import redis


#: The end of the year 9999.
_LATEST_MS = 253_402_300_799_999


class PauseCause(StrEnum):
    """Why a partition takes nothing in: somebody said so, nearly everything was invalid, Redis is nearly full, or too
    much of it is in flight. The first two are kept in Redis."""

    OPERATOR = "operator"
    DEAD_LETTER_LIMIT = "dead-letter limit"
    MEMORY = "memory"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused it, when by the server's clock (ms since 1970), why, and on whose account."""

    who: str
    when_ms: int
    why: str
    cause: PauseCause = PauseCause.OPERATOR

    def to_json(self) -> bytes:
        """What Redis holds."""
        return orjson.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: bytes) -> Self:
        """Read a field of the hash. Whatever it holds is a pause: what can't be read must not start the intake."""
        try:
            fields: Any = orjson.loads(text)
            when_ms = min(max(0, int(fields["when_ms"])), _LATEST_MS)
            return cls(str(fields["who"]), when_ms, str(fields["why"]), PauseCause(fields["cause"]))
        except (ValueError, KeyError, TypeError, OverflowError):
            return cls("unknown", 0, text.decode("utf-8", "backslashreplace"))


#: The pause of a partition's topic and its own, as one script read them.
Pauses = tuple[Pause | None, Pause | None]
NO_PAUSES: Pauses = (None, None)


def pauses_of(topic: bytes, partition: bytes) -> Pauses:
    """Read the two fields that concern a partition; empty where there is none."""
    return (Pause.of_json(topic) if topic else None, Pause.of_json(partition) if partition else None)


def read_pauses(client: redis.Redis, key_prefix: str, group: str) -> dict[str, Pause]:
    """Every pause of a group, by `topic` or `topic:partition`.

    Raises:
        RedisUnavailable: Redis could not be reached.
        ConfigurationError: the key holds something else.
    """
    key = pause_key(key_prefix, group)
    with translated():
        kind: Any = client.type(key)
        if kind not in {b"hash", b"none"}:
            _refuse(key, kind)
        fields: Any = client.hgetall(key)
    return {field.decode("utf-8", "replace"): Pause.of_json(text) for field, text in fields.items()}


def pause(client: redis.Redis, key_prefix: str, group: str, target: str, wanted: Pause) -> tuple[Pause, bool]:
    """Pause `target` (`topic` or `topic:partition`); a `when_ms` of 0 means now.

    Returns:
        The pause that holds now, and whether it is this one: one that was there before stays.

    Raises:
        RedisUnavailable: whether it is paused is unknown; calling again does no harm.
        ConfigurationError: the key holds something else.
    """
    key = pause_key(key_prefix, group)
    reply = run(client, Call("pause", (key,), (target, wanted.who, wanted.when_ms, wanted.why, wanted.cause)))
    if reply[0] == b"wrong-type":
        _refuse(key, reply[1])
    return Pause.of_json(reply[1]), bool(reply[0] == b"paused")


def unpause(client: redis.Redis, key_prefix: str, group: str, target: str) -> Pause | None:
    """End a pause and return it; None when `target` was not paused.

    Raises:
        RedisUnavailable: whether it is paused is unknown.
        ConfigurationError: the key holds something else.
    """
    key = pause_key(key_prefix, group)
    reply = run(client, Call("unpause", (key,), (target,)))
    if reply[0] == b"wrong-type":
        _refuse(key, reply[1])
    return Pause.of_json(reply[1]) if reply[0] == b"unpaused" else None


def _refuse(key: str, kind: bytes) -> NoReturn:
    raise ConfigurationError(f"{key} in Redis holds a {kind.decode()}, expected a hash: delete it to end all pauses")
