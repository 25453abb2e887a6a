"""What really went into the queue, told by Redis' own MONITOR: never by Ferry's numbers."""

import contextlib
import re
import socket
import threading
from collections import Counter
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.queued_ids import queued_ids

#: A command that a script ran, and one that a client sent.
_FROM_SCRIPT = re.compile(rb'^\+\S+ \[\d+ lua\] "LPUSH" ')
_FROM_CLIENT = re.compile(rb'^\+\S+ \[\d+ (?!lua\])\S+\] "[LR]PUSH" ')


class QueueMonitor:
    """Counts by each message's task id what was pushed.

    `queued` is what the ledger's scripts pushed, `restored` what kombu put back. `attach` it to each start of the
    server: give it to `ValkeyServer.start` as `before_listening`.
    """

    def __init__(self) -> None:
        self.queued: Counter[str] = Counter()
        self.restored: Counter[str] = Counter()
        self._connection: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def attach(self, unix_socket_path: Path) -> None:
        """Watch the server behind this socket from now on, until it ends."""
        self.close()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(unix_socket_path))
        self._connection.sendall(b"MONITOR\r\n")
        watching = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(self._connection, watching), daemon=True)
        self._thread.start()
        eventually(watching.is_set, expected=True)

    def close(self) -> None:
        """Stop watching."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
        if self._thread is not None:
            self._thread.join()
        self._connection = self._thread = None

    def _read(self, connection: socket.socket, watching: threading.Event) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                watching.set()
                self._note(line)

    def _note(self, line: bytes) -> None:
        if _FROM_SCRIPT.match(line):
            self.queued.update(queued_ids(line))
        elif _FROM_CLIENT.match(line):
            self.restored.update(queued_ids(line))
