"""What is asked of Redis, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferry_console.status.group_status import GroupStatus

DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """A server's answers. `ahead_seconds` is by how much its clock is ahead of this host's.

    `queued` has the length of each Celery queue by its name, None for a key that is no queue. `listeners` are the
    connections by which Celery's workers listen to remote control and events (one or two each), None where this user
    may not ask; `listening` are the workers of Ferry's by the queue they take from, None where that can't be told.
    `clusters` are the Kafka clusters that the group's ledgers were made for.
    """

    address: str
    round_trip_seconds: float
    ahead_seconds: float
    info: Mapping[str, Any]
    group: GroupStatus
    clusters: frozenset[str]
    queued: Mapping[str, int | None]
    listeners: int | None
    listening: Mapping[str, int] | None


def address_of(url: str) -> str:
    """Where a Redis is, as `host:port, database n`: nothing of the user, the password or other parameters."""
    parts = urlsplit(url)
    encrypted = ", TLS" if parts.scheme in {"rediss", "valkeys"} else ""
    return f"{parts.hostname or 'localhost'}:{parts.port or DEFAULT_PORT}, database {database_of(url)}{encrypted}"


def database_of(url: str) -> int:
    """The number of a Redis URL's database."""
    return int(urlsplit(url).path.strip("/") or 0)
