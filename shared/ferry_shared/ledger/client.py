"""The connection to the ledger's Redis, and its errors in Ferry's terms."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.packing import packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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


class UnderWay:
    """Commands that were sent; their replies are still to be read, once, and in the order of sending."""

    def __init__(self, client: redis.Redis, connection: Any, commands: int) -> None:
        self._client = client
        self._commands = commands
        self.connection = connection
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
                # What is unread would be taken for the next command's reply.
                self.connection.disconnect()
                raise
            finally:
                if not self.is_followed:
                    self._client.connection_pool.release(self.connection)

    def _reply(self) -> Any:
        try:
            return self.connection.read_response()
        except redis.ResponseError as error:
            return error


class LedgerClient(redis.Redis):
    """redis-py's client, which can also send commands now and read their replies later."""

    def send(self, commands: Iterable[Sequence[Word]], behind: UnderWay | None = None) -> UnderWay:
        """Send commands in one go; `behind` others that are under way they keep their order, and share their fate.

        Raises:
            RedisUnavailable: which of them happen is unknown, and so it is of those that they were sent behind.
        """
        words = [packed(command) for command in commands]
        with translated():
            connection = behind.connection if behind else self.connection_pool.get_connection()
            try:
                if behind:
                    _check_connected(connection)
                # A health check waits for a reply, and there are others before it.
                connection.send_packed_command(words, check_health=behind is None)
            except BaseException:
                connection.disconnect()
                if behind is None:
                    self.connection_pool.release(connection)
                raise
        if behind:
            behind.is_followed = True
        return UnderWay(self, connection, len(words))


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


def _check_connected(connection: Any) -> None:
    """A lost connection connects again to send, and then takes the replies to this for those to what was before."""
    if not connection.is_connected:
        raise redis.ConnectionError("the connection was lost")


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
        seconds, microseconds = client.time()
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
