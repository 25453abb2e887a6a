"""A process of its own that sees every command of Valkey, over a connection of its own, and notes each queued copy.

`python -m tests.chaos.observer SOCKET QUEUE FILE`: attaches MONITOR to the unix socket, again after every restart of
the server, until its standard input ends; prints a line for each time. Lines of the file: `attached`, time, the server's run id; `pushed`, time,
cause, task id, delivery tag; `detached`, time.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tests.chaos.monitor_lines import PushReader

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 1 << 20
_RETRY_SECONDS = 0.02


def main(socket_path: Path, queue: str, notes_path: Path) -> None:
    """Observe until standard input ends."""
    with notes_path.open("w", buffering=1 << 16) as notes:
        while not _over(0.0):
            try:
                _observe(socket_path, queue, notes)
            except OSError:
                _over(_RETRY_SECONDS)


def _observe(socket_path: Path, queue: str, notes: TextIO) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(str(socket_path))
        run_id = _run_id(connection)
        connection.sendall(b"MONITOR\r\n")
        if (answer := _receive_line(connection)) != b"+OK\r\n":
            raise OSError(f"MONITOR was answered by {answer!r}")
        notes.write(f"attached\t{time.time():.6f}\t{run_id}\n")
        notes.flush()
        print(run_id, flush=True)
        reader = PushReader(queue)
        for lines in _chunks_of_lines(connection):
            for line in lines:
                for push in reader.read(line):
                    notes.write(f"pushed\t{push.at:.6f}\t{push.cause}\t{push.task_id}\t{push.tag}\n")
            notes.flush()
        notes.write(f"detached\t{time.time():.6f}\n")
        notes.flush()


def _run_id(connection: socket.socket) -> str:
    """Asked on the same connection, so that it belongs to the server that is observed."""
    connection.sendall(b"INFO server\r\n")
    size = _receive_line(connection)
    if not size.startswith(b"$"):
        raise OSError(f"the server is not ready: {size!r}")
    answer = _receive(connection, int(size[1:]) + 2)
    return answer.partition(b"run_id:")[2].partition(b"\r")[0].decode()


def _receive_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        line += _receive(connection, 1)
    return line


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := connection.recv(size - len(data))):
            raise OSError("the server went away")
        data += more
    return data


def _chunks_of_lines(connection: socket.socket) -> Iterator[list[bytes]]:
    """Until the server goes away, or standard input ends and nothing more is to be read."""
    rest = b""
    while True:
        readable, _, _ = select.select([connection, sys.stdin], [], [])
        if connection not in readable:
            return
        try:
            data = connection.recv(_CHUNK_BYTES)
        except ConnectionError:
            return
        if not data:
            return
        *lines, rest = (rest + data).split(b"\r\n")
        yield lines


def _over(seconds: float) -> bool:
    """Wait for the end of standard input; tells whether it has come."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
