"""What a ledger holds, told by its entries: never by the ledger's own counts."""

from typing import Any

import redis

from ferry_shared.ledger.keys import message_count


def messages_in(client: redis.Redis, inflight_key: str | bytes) -> int:
    """The messages of all entries under this key."""
    return sum(message_count(member) for member in members_of(client, inflight_key))


def members_of(client: redis.Redis, inflight_key: str | bytes) -> list[str]:
    """The entries' names."""
    members: list[Any] = client.zrange(inflight_key, 0, -1)
    return [member.decode() for member in members]
