"""The connection to the ledger's Redis, and its errors in Ferry's terms."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.packing import packed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_shared.ledger.packing import Word

SOCKET_TIMEOUT_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 2.0

#: A server that is away, or up but unable to serve now. redis-py knows these replies by type and cuts their code off …
_PASSING_ERRORS = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.MasterDownError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
)
#: … and these only by their text.
_PASSING_REPLIES = ("MISCONF", "BUSY", "NOREPLICAS")


@dataclass(slots=True)
class Line:
    """A connection that one or several sends are under way on."""

    connection: Any
    is_lost: bool = False

    def send(self, commands: Sequence[Sequence[Word]], *, is_first: bool) -> None:
        """Send commands in one go.

        Raises:
            redis.ConnectionError: the line was lost, now or before: the connection would connect again to send.
        """
        if self.is_lost:
            raise redis.ConnectionError("the connection was lost")
        # A health check waits for a reply, and behind others it would read one of theirs.
        self.connection.send_packed_command(map(packed, commands), check_health=is_first)

    def lose(self) -> None:
        """Leave what is unread on it unread: it would be taken for other commands' replies."""
        self.is_lost = True
        self.connection.disconnect()


class UnderWay:
    """Commands that were sent; their replies are still to be read, once, and in the order of sending."""

    def __init__(self, client: LedgerClient, line: Line, commands: int) -> None:
        self._client = client
        self._commands = commands
        self.line = line
        self.is_followed = False

    def replies(self) -> list[Any]:
        """Wait for the replies; one can be a ResponseError, the others still count.

        Raises:
            RedisUnavailable: which of the commands happened is unknown.
        """
        with translated():
            try:
                return [self._reply() for _ in range(self._commands)]
            except BaseException:
                self.line.lose()
                raise
            finally:
                if not self.is_followed:
                    self._client.take_back(self.line)

    def _reply(self) -> Any:
        try:
            return self.line.connection.read_response()
        except redis.ResponseError as error:
            return error


class LedgerClient(redis.Redis):
    """redis-py's client, which can also send commands now and read their replies later.

    For that it keeps connections of its own: redis-py's way of a command, through pool, retry and measurements, takes
    more processor time than the command itself.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept: list[Any] = []

    def take_back(self, line: Line) -> None:
        """Keep the connection of a line whose replies are read; a lost one is the pool's again."""
        if line.is_lost:
            self.connection_pool.release(line.connection)
        else:
            self._kept.append(line.connection)

    def _take_connection(self) -> Any:
        try:
            # Safe from any thread, as a list does it at once.
            connection = self._kept.pop()
        except IndexError:
            return self.connection_pool.get_connection()
        if _has_ended(connection):
            # It connects again when it is used.
            connection.disconnect()
        return connection

    def ask(self, *words: Word) -> Any:
        """Send one command, and wait for its reply, which is returned as it came.

        Raises:
            RedisUnavailable: whether it happened is unknown.
            redis.ResponseError: it is refused.
        """
        replies = self.send([words]).replies()
        if isinstance(replies[0], redis.ResponseError):
            with translated():
                # Not from a variable: the frame that its traceback keeps would keep it in turn, and both the client.
                raise replies.pop()
        return replies[0]

    def send(self, commands: Sequence[Sequence[Word]], behind: UnderWay | None = None) -> UnderWay:
        """Send commands in one go; `behind` others that are under way they keep their order, and share their fate.

        Raises:
            RedisUnavailable: which of them happen is unknown, and so it is of those that they were sent behind.
        """
        with translated():
            line = behind.line if behind else Line(self._take_connection())
            try:
                line.send(commands, is_first=behind is None)
            except BaseException:
                line.lose()
                if behind is None:
                    self.take_back(line)
                raise
        if behind:
            behind.is_followed = True
        return UnderWay(self, line, len(commands))


def connect(url: str) -> LedgerClient:
    """Return a client that never retries by itself: a lost reply must be judged by the caller.

    redis-py's default is ten tries of 5 s inside one call, which would keep the consumer out of its group.
    """
    # Typed as redis-py's own class, whichever class it is called on.
    client = LedgerClient.from_url(
        _plain_scheme(url),
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name="ferry",
    )
    return cast("LedgerClient", client)


def _has_ended(connection: Any) -> bool:
    """Whether the server has closed it meanwhile: nothing was asked, so there is nothing to read but that."""
    try:
        return bool(connection.can_read())
    except redis.ConnectionError:
        return True


def _plain_scheme(url: str) -> str:
    return url.replace("valkeys://", "rediss://", 1).replace("valkey://", "redis://", 1)


def ping(client: redis.Redis) -> None:
    """Find out whether the server answers.

    Raises:
        RedisUnavailable: it does not.
    """
    with translated():
        client.ping()


def server_time_ms(client: redis.Redis) -> int:
    """Return the server's time in milliseconds since 1970.

    Raises:
        RedisUnavailable: it does not answer.
    """
    with translated():
        return milliseconds_of(client.time())


def milliseconds_of(time: Any) -> int:
    """The reply to TIME, seconds and microseconds, in milliseconds."""
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000


def is_passing(error: redis.RedisError) -> bool:
    """Tell whether trying again can help."""
    return isinstance(error, _PASSING_ERRORS) or str(error).startswith(_PASSING_REPLIES)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what passes into `RedisUnavailable`; what doesn't stays what it is."""
    try:
        yield
    except redis.RedisError as error:
        if is_passing(error):
            raise RedisUnavailable(f"Redis: {error}") from error
        raise
