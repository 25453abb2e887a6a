"""A process of its own that sees every command of Valkey, over a connection of its own, and notes each queued copy.

`python -m tests.chaos.observer SOCKET QUEUE FILE`: attaches MONITOR to the unix socket, again after every restart of
the server, until its standard input ends; prints the server's run id each time. Lines of the file, separated by tabs:
`attached`, time, run id; `found`, time, task ids, delivery tag, `queue` or `unacked`: what these hold before the port
opens; `pushed`, time, cause, task ids, delivery tag (ids are one, or those of a batch with commas between); `taken`,
time, delivery tag: noted in `unacked`, a worker has it; `removed`, time, delivery tag: no longer in `unacked`;
`emptied`, time: FLUSHALL; `detached`, time.

`found` is for what a killed server has taken and on disk, and had not yet sent here: a few milliseconds' worth.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import redis

from tests.chaos.monitor_lines import PushReader, emptied_at, identity_of, unacked_change_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ATTACHED, FOUND, PUSHED, DETACHED = "attached", "found", "pushed", "detached"
TAKEN, REMOVED, EMPTIED = "taken", "removed", "emptied"
#: Where a copy was found.
IN_QUEUE, IN_UNACKED = "queue", "unacked"

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
        run_id, copies = _present(socket_path, queue)
        connection.sendall(b"MONITOR\r\n")
        if (answer := _receive_line(connection)) != b"+OK\r\n":
            raise OSError(f"MONITOR was answered by {answer!r}")
        now = f"{time.time():.6f}"
        notes.write(f"{ATTACHED}\t{now}\t{run_id}\n")
        notes.writelines(f"{FOUND}\t{now}\t{','.join(ids)}\t{tag}\t{where}\n" for (ids, tag), where in copies)
        notes.flush()
        print(run_id, flush=True)
        reader = PushReader(queue)
        for lines in _chunks_of_lines(connection):
            for line in lines:
                notes.writelines(_noted(reader, line))
            notes.flush()
        notes.write(f"{DETACHED}\t{time.time():.6f}\n")
        notes.flush()


def _noted(reader: PushReader, line: bytes) -> Iterator[str]:
    for tag, carried in groupby(reader.read(line), key=attrgetter("tag")):
        first, *more = carried
        ids = ",".join(push.task_id for push in (first, *more))
        yield f"{PUSHED}\t{first.at:.6f}\t{first.cause}\t{ids}\t{tag}\n"
    if change := unacked_change_of(line):
        yield f"{TAKEN if change.taken else REMOVED}\t{change.at:.6f}\t{change.tag}\n"
    elif (emptied := emptied_at(line)) is not None:
        yield f"{EMPTIED}\t{emptied:.6f}\n"


def _present(socket_path: Path, queue: str) -> tuple[str, list[tuple[tuple[list[str], str], str]]]:
    """The server's run id, and the copies that wait or are taken; nothing changes them before the port opens."""
    with redis.Redis(unix_socket_path=str(socket_path)) as client:
        try:
            run_id = client.info("server")["run_id"]
            waiting: Any = client.lrange(queue, 0, -1)
            taken: Any = client.hvals("unacked")
        except redis.RedisError as error:
            raise OSError("the server is not ready") from error
    messages: list[Mapping[str, Any]] = [orjson.loads(message) for message in waiting]
    # kombu keeps [message, exchange, routing key]; other queues' messages are taken too.
    kept = [orjson.loads(item) for item in taken]
    held = [message for message, _, routing_key in kept if routing_key == queue]
    copies = [(identity_of(message), IN_QUEUE) for message in messages]
    return run_id, copies + [(identity_of(message), IN_UNACKED) for message in held]


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
