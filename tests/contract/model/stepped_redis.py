"""A Redis client whose every round trip is a step of its process."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import redis
from redis.client import Pipeline

from ferry_shared.ledger.client import LedgerClient, translated
from ferry_shared.ledger.packing import Word
from tests.contract.model.actor import Actor
from tests.contract.model.virtual_time import VirtualTime


class Observer(Protocol):
    """Is told what the server has done."""

    def script_ran(self, actor: Actor, name: str, words: tuple[Any, ...], reply: Any) -> None:
        """A script ran, whether or not its caller hears of it. `words` follow the digest."""


def _away() -> Any:
    raise redis.ConnectionError("cut by the test")


class SteppedPipeline(Pipeline):
    """Commands that go out together; without a transaction a lost connection can cut them anywhere."""

    observe: Callable[[tuple[Any, ...], Any], None]
    describe: Callable[[tuple[Any, ...]], str]
    transactional: bool
    #: Whether they reached the server: all of them, or the first half. Those that are cut off can't.
    arrived = False
    is_halved = False
    is_cut_off = False

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """One step."""
        if not self.command_stack:
            return []
        what = f"pipeline of {len(self.command_stack)}: {self.describe(self.command_stack[0][0])}"
        cut = None if self.transactional or self.is_cut_off else self._first_half
        return Actor.current().step(what, lambda: self._all(raise_on_error), _away, cut)

    def _all(self, raise_on_error: bool) -> list[Any]:
        if self.is_cut_off:
            return cast("list[Any]", _away())
        commands = [command for command, _ in self.command_stack]
        replies: list[Any] = super().execute(raise_on_error)
        self.arrived = True
        for command, reply in zip(commands, replies, strict=True):
            self.observe(command, reply)
        return replies

    def _first_half(self) -> None:
        del self.command_stack[len(self.command_stack) // 2 :]
        if self.command_stack:
            self._all(raise_on_error=False)
        self.arrived, self.is_halved = False, True
        self.reset()


class Later:
    """What commands came to, for who asks. Those sent behind others of the same connection share their fate.

    Where the first ones did not arrive, neither do these; where a reply is lost, so are all that follow. If none of
    these arrives, the sender notices at once, and the replies to those before are gone with the connection; if some
    do, it has the replies to those before.
    """

    arrived: bool

    def __init__(self, pipeline: SteppedPipeline, behind: "Later | None") -> None:
        pipeline.is_cut_off = behind is not None and not behind.arrived
        self._replies: list[Any] = []
        self.error: redis.RedisError | None = behind.error if behind else None
        try:
            self._replies = pipeline.execute(raise_on_error=False)
        except redis.RedisError as error:
            self.error = error
        self.arrived, self.is_read = pipeline.arrived, False
        if behind and not self.arrived and not pipeline.is_halved:
            behind.error = self.error
            self.replies()

    def replies(self) -> list[Any]:
        """The replies, or the error."""
        self.is_read = True
        if self.error:
            with translated():
                raise self.error
        return self._replies


class SteppedRedis(LedgerClient):
    """The client of one process; outside of processes it is redis-py's own."""

    def __init__(
        self, pool: redis.ConnectionPool, clock: VirtualTime, names: dict[str, str], observer: Observer
    ) -> None:
        super().__init__(connection_pool=pool)
        self._clock, self._names, self._observer = clock, names, observer
        self._last_sent: Later | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One step."""

        def call() -> Any:
            reply = redis.Redis.execute_command(self, *args, **options)
            self._observe(args, reply)
            return reply

        if args[0] == "TIME":
            return Actor.current().step(
                "TIME", lambda: (self._clock.now_ms // 1000, self._clock.now_ms % 1000 * 1000), _away
            )
        return Actor.current().step(self._describe(args), call, _away)

    def ask(self, *words: Word) -> Any:
        """One step."""
        with translated():
            return self.execute_command(*words)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> SteppedPipeline:
        """Commands that go out together."""
        pipeline = SteppedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.observe, pipeline.describe, pipeline.transactional = self._observe, self._describe, transaction
        return pipeline

    def send(self, commands: Sequence[Sequence[Word]], behind: Any = None) -> Any:
        """One step; whether it went well is known later."""
        pipeline = self.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        self._last_sent = Later(pipeline, behind)
        return self._last_sent

    def _describe(self, args: tuple[Any, ...]) -> str:
        return self._names.get(str(args[1]), "?") if args[0] == "EVALSHA" else str(args[0])

    def _observe(self, args: tuple[Any, ...], reply: Any) -> None:
        name = self._names.get(str(args[1])) if args[0] == "EVALSHA" else None
        if name == "snapshot" and self._last_sent and not self._last_sent.is_read:
            raise AssertionError("a snapshot counts what is under way, and its replies would count it again")
        if name and not isinstance(reply, Exception):
            self._observer.script_ran(Actor.current(), name, args[2:], reply)
