"""Lines of a file descriptor, without blocking the event loop: pipes, files and terminals alike."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from contextlib import suppress
from functools import partial
from typing import NamedTuple

CHUNK_BYTES = 65_536
#: A chunk costs a turn of the event loop and of a thread; a file gives more at once than a pipe can.
FILE_CHUNK_BYTES = 262_144
#: What some editors put at the beginning of a file in UTF-8.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: A longer line can't be a message (Kafka's default limit is 1 MB); it is skipped as it comes, memory stays flat.
MAX_LINE_BYTES = 16 * 1024 * 1024
#: How long a read that has begun may take to end.
CLOSE_SECONDS = 1.0


class Line(NamedTuple):
    """One line, counted from 1, without its end; `content` is None when it is longer than `MAX_LINE_BYTES`."""

    number: int
    content: bytes | None


#: Makes a `Line` of a pair in half the time of `Line` itself.
_LINE = partial(tuple.__new__, Line)


class LineSplitter:
    """Bytes in any pieces → lines. A line ends with LF or CRLF; the last one needs no end."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._pieces: list[bytes] = []
        self._length = 0
        self._number = 0

    def feed(self, chunk: bytes) -> list[Line]:
        """Return the lines that `chunk` completes."""
        first, *rest = chunk.split(b"\n")
        self._keep(first)
        if not rest:
            return []
        lines = [self._complete()]
        self._keep(rest.pop())
        if b"\r" in chunk or len(chunk) > self._max_line_bytes:
            lines.extend(map(self._line, rest))
        else:
            # Most lines need nothing but a number.
            lines.extend(map(_LINE, zip(range(self._number + 1, self._number + 1 + len(rest)), rest, strict=True)))
            self._number += len(rest)
        return lines

    def end(self) -> list[Line]:
        """Return the last line, if the input doesn't end with a line's end."""
        return [self._complete()] if self._length else []

    @property
    def begun(self) -> bytes:
        """The beginning of a line whose end has not come; nothing of one that is too long already."""
        return b"".join(self._pieces)

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._length += len(piece)
        if self._length > self._max_line_bytes:
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def _complete(self) -> Line:
        content, length = b"".join(self._pieces), self._length
        self._pieces.clear()
        self._length = 0
        return self._line(content if length <= self._max_line_bytes else None)

    def _line(self, content: bytes | None) -> Line:
        self._number += 1
        if content is None or len(content) > self._max_line_bytes:
            return Line(self._number, None)
        return Line(self._number, content.removesuffix(b"\r"))


class ChunkReader:
    """Reads a file descriptor in a thread, one chunk whenever it is asked.

    The thread is a daemon: somebody who shares the other end can keep it waiting, and must not keep the process.
    """

    def __init__(self, descriptor: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Begin; nothing is read yet.

        Raises:
            OSError: this process may have no more threads or files.
        """
        self._descriptor = descriptor
        self._chunk_bytes = chunk_bytes
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        #: Read, and perhaps lost on its way to whoever asked: a cancelled task's result is nobody's.
        self.given = b""
        self._wanted = threading.Semaphore(0)
        self._closed, close = os.pipe()
        self._close: int | None = close
        self._thread = threading.Thread(target=self._run, name="ferry-producer-input", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            os.close(close)
            os.close(self._closed)
            raise OSError(0, str(error)) from error

    async def next(self) -> bytes:
        """Return what can be read, at most a chunk; nothing at the end.

        Raises:
            OSError: it can't be read.
        """
        self._wanted.release()
        chunk = await self._chunks.get()
        if isinstance(chunk, OSError):
            raise chunk
        self.given = chunk
        return chunk

    async def close(self) -> bytes:
        """Read no further; returns what was read and not asked for any more."""
        if self._close is not None:
            os.close(self._close)
            self._close = None
        self._wanted.release()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)
        # What the thread has handed over is put into the queue in the loop's next turn.
        await asyncio.sleep(0)
        chunk = b"" if self._chunks.empty() else self._chunks.get_nowait()
        given, self.given = self.given, b""
        return given + (b"" if isinstance(chunk, OSError) else chunk)

    def _run(self) -> None:
        chunk: bytes | OSError | None = b"-"
        while chunk and not isinstance(chunk, OSError):
            self._wanted.acquire()
            chunk = self._read()
            if chunk is not None:
                # The loop is closed when the process ends while this thread waits.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
        os.close(self._closed)

    def _read(self) -> bytes | OSError | None:
        """None: closed before anything came."""
        wait = select.poll()
        for descriptor in (self._descriptor, self._closed):
            wait.register(descriptor, select.POLLIN)
        try:
            while True:
                if self._closed in {descriptor for descriptor, _ in wait.poll()}:
                    return None
                # Somebody who shares the other end may have made it non-blocking, and may have been faster.
                with suppress(BlockingIOError):
                    return os.read(self._descriptor, self._chunk_bytes)
        except OSError as error:
            return error
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it, and the reader waits for an answer
            return OSError(0, f"{type(error).__name__}: {error}")
