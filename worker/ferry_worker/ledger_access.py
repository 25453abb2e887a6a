"""The ledger as a worker's process calls it: one client each, and calls that outlast a short absence of Redis."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.worker_ledger import WorkerLedger

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferry_shared.ledger.client import LedgerClient

log = logging.getLogger("ferry.worker")

#: The parent serves all of its pool from one loop: it never waits longer than this for a reply.
PARENT_TIMEOUT_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

ReplyT = TypeVar("ReplyT")


@dataclass(frozen=True, slots=True)
class Answer(Generic[ReplyT]):
    """A reply; `repeated` when an earlier call's reply was lost, so that the call may have happened twice."""

    reply: ReplyT
    repeated: bool


def patiently(call: Callable[[], ReplyT], wait_seconds: float) -> Answer[ReplyT]:
    """Call until there is a reply, for at most `wait_seconds`, with growing pauses.

    Raises:
        RedisUnavailable: there was none; whether the call happened is unknown.
    """
    deadline = time.monotonic() + wait_seconds
    pause, repeated = FIRST_PAUSE_SECONDS, False
    while True:
        try:
            return Answer(call(), repeated)
        except RedisUnavailable as error:
            if time.monotonic() + pause > deadline:
                raise
            if not repeated:
                log.warning("the ledger's Redis is away, waiting for it up to %g s: %s", wait_seconds, error)
        time.sleep(pause)
        pause, repeated = min(2 * pause, LONGEST_PAUSE_SECONDS), True


def pool_ledger(url: str, key_prefix: str) -> WorkerLedger:
    """Return the ledger for this pool process; the client is made at its first use, so after the fork."""
    return WorkerLedger(_client(os.getpid(), url), key_prefix)


def parent_ledger(url: str, key_prefix: str) -> WorkerLedger:
    """Return the ledger for the parent, whose calls give up within a second or two."""
    return WorkerLedger(_hurried_client(os.getpid(), url), key_prefix)


def parent_client(url: str) -> LedgerClient:
    """Return the parent's client, for what isn't the ledger; its calls give up within a second or two."""
    return _hurried_client(os.getpid(), url)


def pool_client(url: str) -> LedgerClient:
    """Return this process's client, for what isn't the ledger."""
    return _client(os.getpid(), url)


@cache
def _client(_pid: int, url: str) -> LedgerClient:
    return connect(url)


@cache
def _hurried_client(_pid: int, url: str) -> LedgerClient:
    client = connect(url)
    limits = {"socket_timeout": PARENT_TIMEOUT_SECONDS, "socket_connect_timeout": PARENT_TIMEOUT_SECONDS}
    client.connection_pool.connection_kwargs.update(limits)
    return client
