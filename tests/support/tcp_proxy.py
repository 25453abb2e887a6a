"""A TCP proxy in front of a server: the network between a program and it, as a test wants it to be."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from ferry_console.local.ports import LOOPBACK

_CHUNK_BYTES = 65_536
_CONNECT_SECONDS = 2.0
#: A request whose reply is cut is over when its sender has been quiet for so long.
_QUIET_SECONDS = 0.05
_CUT_SECONDS = 5.0

_Mode = Literal["pass through", "delay", "drop", "refuse"]


class TcpProxy:
    """Listens on `port` of the loopback interface and carries every connection to `target_port`; a context manager.

    The target may come and go: a connection that can't be carried on is closed. New connections go to whatever
    `target_port` is by then, as after a failover. `cuts` counts the replies that
    `cut_reply_after` swallowed, `connections` what was accepted so far.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.cuts = 0
        self.connections = 0
        self.target_port = target_port
        self._mode: _Mode = "pass through"
        self._delay_seconds = 0.0
        self._pattern = b""
        self._after_request: Callable[[], object] | None = None
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        for thread in self._threads:
            thread.join(10.0)

    def pass_through(self) -> None:
        """Carry every byte at once, which is what a new proxy does.

        A connection of which `drop` has swallowed something is closed: TCP never delivers what follows a gap.
        """
        self._mode = "pass through"
        for connection in self._connections():
            if connection.has_gap:
                connection.close()
        if self._listener is None:
            self._listen()

    def delay(self, seconds: float) -> None:
        """Hold back whatever the server sends for `seconds`; requests reach it at once."""
        self._delay_seconds = seconds
        self._mode = "delay"

    def drop(self) -> None:
        """Swallow everything in both directions; connections stay open, and new ones are accepted."""
        self._mode = "drop"

    def refuse(self) -> None:
        """Close all connections and take no new one, until `pass_through`."""
        self._mode = "refuse"
        if self._listener is not None:
            # Closing alone would leave the port listening while the other thread waits in accept().
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in self._connections():
            connection.close()

    def cut_reply_after(self, pattern: bytes, then: Callable[[], object] | None = None) -> None:
        """Let the next request that contains `pattern` reach the server, swallow its reply, close the connection.

        `then` is called once the server has answered and before the client learns of it, from the proxy's own thread:
        what it does happens between a call and its acknowledgement.
        """
        with self._lock:
            self._pattern, self._after_request = pattern, then

    def _connections(self) -> "list[_Connection]":
        with self._lock:
            return list(self._open)

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, self.port))
        listener.listen(128)
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._start(lambda: self._accept(listener))

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        with self._lock:
            self._threads = [known for known in self._threads if known.is_alive()]
            thread.start()
            self._threads.append(thread)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((LOOPBACK, self.target_port), _CONNECT_SECONDS)
            except OSError:
                client.close()
                continue
            self._carry(client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(client, server)
        with self._lock:
            self.connections += 1
            self._open.add(connection)
        if self._mode == "refuse":
            connection.close()
        self._start(lambda: self._carry_requests(connection))
        self._start(lambda: self._carry_replies(connection))

    def _carry_requests(self, connection: "_Connection") -> None:
        # A pattern may lie across two chunks.
        tail = b""
        try:
            while data := connection.client.recv(_CHUNK_BYTES):
                if self._mode == "drop":
                    connection.has_gap = True
                    continue
                tail = self._watch(connection, tail + data)
                connection.server.sendall(data)
        except OSError:
            pass
        finally:
            self._close(connection)

    def _watch(self, connection: "_Connection", seen: bytes) -> bytes:
        pattern = self._pattern
        if not pattern:
            return b""
        with self._lock:
            if pattern in seen and pattern == self._pattern:
                self._pattern = b""
                connection.to_be_cut = True
        return seen[-(len(pattern) - 1) :] if len(pattern) > 1 else b""

    def _carry_replies(self, connection: "_Connection") -> None:
        try:
            while data := connection.server.recv(_CHUNK_BYTES):
                if connection.to_be_cut:
                    self._cut(connection)
                    return
                if self._mode == "drop":
                    connection.has_gap = True
                    continue
                if self._mode == "delay":
                    time.sleep(self._delay_seconds)
                connection.client.sendall(data)
        except OSError:
            pass
        finally:
            self._close(connection)

    def _cut(self, connection: "_Connection") -> None:
        """The server has begun to answer: let it have the whole request, and the client nothing."""
        deadline = time.monotonic() + _CUT_SECONDS
        while time.monotonic() < deadline:
            readable, _, _ = select.select([connection.server], [], [], _QUIET_SECONDS)
            if not readable or not connection.server.recv(_CHUNK_BYTES):
                break
        if self._after_request is not None:
            self._after_request()
        self.cuts += 1

    def _close(self, connection: "_Connection") -> None:
        connection.close()
        with self._lock:
            self._open.discard(connection)


class _Connection:
    """One client's connection, and the proxy's own to the server. Its two threads end when it is closed."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.has_gap = False
        self.to_be_cut = False

    def close(self) -> None:
        """Close both sides; may be called from any thread, more than once."""
        for end in (self.client, self.server):
            # Wakes a thread that waits in recv(), which closing alone would not.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
