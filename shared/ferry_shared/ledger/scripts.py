"""The ledger's Lua scripts: loaded once, called by digest, loaded again when the server has forgotten them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError, NoScriptError, RedisError

from ferry_shared.errors import ConfigurationError, RedisUnavailable
from ferry_shared.ledger.client import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_shared.ledger.client import LedgerClient, UnderWay
    from ferry_shared.ledger.packing import Word

#: Only these add to what Redis holds; the others must work on a full one, or its queue could never drain.
_REFUSED_WHEN_FULL = frozenset({"dispatch", "enqueue", "redeliver", "split", "divide"})
#: What some scripts share besides the prelude.
_PARTS = {
    "stranded": ("transport",),
    "redeliver": ("transport",),
    "inspect": ("pauses",),
    "snapshot": ("pauses",),
    "progress": ("singles",),
    "split": ("singles",),
    "divide": ("transport", "singles"),
}
#: For people who look: the server holds them to it.
_READ_ONLY = frozenset({"overview", "entry", "page", "queued", "listeners"})


@dataclass(frozen=True, slots=True)
class Script:
    """One script, whole: flags, prelude, body. `digest` is what EVALSHA takes."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


@cache
def script(name: str) -> Script:
    """Return the script in `lua/<name>.lua` behind what it shares with others."""
    folder = files("ferry_shared.ledger") / "lua"
    flags = "#!lua" if name in _REFUSED_WHEN_FULL else "#!lua flags=allow-oom"
    if name in _READ_ONLY:
        flags = "#!lua flags=no-writes"
    names = ("prelude", *_PARTS.get(name, ()), name)
    return Script("\n".join([flags, *((folder / f"{part}.lua").read_text() for part in names)]))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script."""

    name: str
    keys: Sequence[str]
    arguments: Sequence[Word]

    @property
    def words(self) -> tuple[Word, ...]:
        """What EVALSHA takes after the digest."""
        return (len(self.keys), *self.keys, *self.arguments)


def load(client: redis.Redis, name: str) -> None:
    """Have the server know a script.

    Raises:
        RedisUnavailable: it doesn't answer.
        ConfigurationError: it refuses.
    """
    try:
        with translated():
            client.script_load(script(name).text)
    except NoPermissionError as error:
        raise ConfigurationError(
            f"CELERY_BROKER_URL: Redis refuses SCRIPT LOAD: {error}; expected a user who may call scripts (+@scripting)"
        ) from error


def run(client: redis.Redis, call: Call) -> Any:
    """Run one script.

    Raises:
        RedisUnavailable: whether the script ran is unknown.
    """
    wanted = script(call.name)
    with translated():
        try:
            return client.execute_command("EVALSHA", wanted.digest, *call.words)
        except NoScriptError:
            return client.execute_command("EVAL", wanted.text, *call.words)


def ask(client: LedgerClient, call: Call) -> Any:
    """As `run`, in less than half the processor time: for what runs with every task.

    Raises:
        RedisUnavailable: whether the script ran is unknown.
    """
    try:
        return client.ask("EVALSHA", script(call.name).digest, *call.words)
    except NoScriptError:
        return client.ask("EVAL", script(call.name).text, *call.words)


def run_all(client: redis.Redis, calls: Sequence[Call]) -> list[Any]:
    """Run several scripts in one round trip; a reply can be a RedisError, the others still count.

    Raises:
        RedisUnavailable: which of them ran is unknown.
    """
    if len(calls) == 1:
        return [_run_alone(client, calls[0])]
    pipeline = client.pipeline(transaction=False)
    for call in calls:
        pipeline.execute_command("EVALSHA", script(call.name).digest, *call.words)
    with translated():
        replies = pipeline.execute(raise_on_error=False)
    return [
        _run_alone(client, call) if isinstance(reply, NoScriptError) else reply
        for call, reply in zip(calls, replies, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class SentCalls:
    """Script calls whose replies are still to be read, once."""

    _client: LedgerClient
    _calls: Sequence[Call]
    under_way: UnderWay

    def replies(self) -> list[Any]:
        """Wait for the replies; as those of `run_all`.

        Raises:
            RedisUnavailable: which of them ran is unknown; or the server had forgotten a script: it knows it again, but
                what was sent behind would overtake what was run now.
        """
        replies = self.under_way.replies()
        for call, reply in zip(self._calls, replies, strict=True):
            if isinstance(reply, NoScriptError):
                load(self._client, call.name)
                raise RedisUnavailable(f"Redis: it had forgotten the script {call.name!r}, and has it again")
        return replies


def send_all(client: LedgerClient, calls: Sequence[Call], behind: SentCalls | None = None) -> SentCalls:
    """Send several scripts, and go on; those that were sent before and are still open are named, for the order's sake.

    Raises:
        RedisUnavailable: which of them run is unknown, also of those before.
    """
    commands = [("EVALSHA", script(call.name).digest, *call.words) for call in calls]
    return SentCalls(client, calls, client.send(commands, behind.under_way if behind else None))


def _run_alone(client: redis.Redis, call: Call) -> Any:
    try:
        return run(client, call)
    except RedisError as error:
        return error
