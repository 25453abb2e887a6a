"""Put valid records together into Celery messages: what was taken in at once goes out at once, however little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_shared.ledger.dispatches import Queued
from ferry_shared.ledger.keys import batch_member

if TYPE_CHECKING:
    from ferry_consumer.plain_run import PlainRun
    from ferry_shared.task_message import TaskTemplate

#: A worker holds a batch whole, and kombu writes it again when it is taken. Keys and headers count too: what must be
#: queued again is read again from Kafka, with them.
MAX_BATCH_BYTES = 256 * 1024
#: So far apart its first and last offset are at most, for the same reason.
MAX_BATCH_SPAN_OFFSETS = 10_000


class Batcher:
    """Collects the records of one dispatch call, in order.

    Between a batch's first and last record there is none that isn't in it (`close` ends it before one): so it can be
    made again from Kafka, whatever the route's model says then.
    """

    def __init__(self, template: TaskTemplate, token: str, now_ms: int, most_messages: int) -> None:
        self._copies = template.first_copies(token, now_ms)
        self._most_messages = most_messages
        self._queued: list[Queued] = []
        self._offsets: list[int] = []
        self._timestamps_ms: list[int | None] = []
        self._values: list[bytes] = []
        self._open_bytes = 0
        self.bytes = 0

    def add(self, offset: int, timestamp_ms: int | None, value: bytes, bytes_beside: int = 0) -> None:
        """Add a valid record, with so many bytes beside its value. `bytes` counts what was made and what is open."""
        if self._most_messages == 1:
            self._queue(str(offset), self._copies.single(str(offset), timestamp_ms, value))
            return
        size = len(value) + bytes_beside
        if self._offsets and (
            self._open_bytes + size > MAX_BATCH_BYTES or offset - self._offsets[0] >= MAX_BATCH_SPAN_OFFSETS
        ):
            self.close()
        self._offsets.append(offset)
        self._timestamps_ms.append(timestamp_ms)
        self._values.append(value)
        self._open_bytes += size
        self.bytes += size
        self._close_if_full()

    def add_run(self, run: PlainRun) -> None:
        """Add valid records that follow each other."""
        if self._most_messages == 1:
            single = self._copies.single
            queued = [
                Queued(str(offset), single(str(offset), timestamp_ms, value))
                for offset, timestamp_ms, value in zip(run.offsets, run.timestamps_ms, run.values, strict=True)
            ]
            self._queued += queued
            self.bytes += sum(len(entry.celery_message) for entry in queued)
            return
        size = sum(map(len, run.values)) + sum(run.beside)
        if self._has_room_for(run, size):
            self._offsets += run.offsets
            self._timestamps_ms += run.timestamps_ms
            self._values += run.values
            self._open_bytes += size
            self.bytes += size
            self._close_if_full()
            return
        for record in zip(*run, strict=True):
            self.add(*record)

    def _close_if_full(self) -> None:
        if len(self._offsets) == self._most_messages:
            self.close()

    def _has_room_for(self, run: PlainRun, size: int) -> bool:
        first = self._offsets[0] if self._offsets else run.offsets[0]
        return (
            len(self._offsets) + len(run.offsets) <= self._most_messages
            and self._open_bytes + size <= MAX_BATCH_BYTES
            and run.offsets[-1] - first < MAX_BATCH_SPAN_OFFSETS
        )

    def close(self) -> None:
        """End the batch; a record that is alone in it becomes a single message."""
        if not self._offsets:
            return
        if len(self._offsets) == 1:
            member = str(self._offsets[0])
            self._queue(member, self._copies.single(member, self._timestamps_ms[0], self._values[0]))
        else:
            member = batch_member(self._offsets)
            message = self._copies.batch(member, self._offsets, self._timestamps_ms, self._values)
            self._queue(member, message, len(self._offsets))
        self.bytes -= self._open_bytes
        self._offsets, self._timestamps_ms, self._values, self._open_bytes = [], [], [], 0

    def _queue(self, member: str, message: bytes, messages: int = 1) -> None:
        self._queued.append(Queued(member, message, messages))
        self.bytes += len(message)

    def take(self) -> list[Queued]:
        """Return all messages since the last call."""
        self.close()
        queued, self._queued, self.bytes = self._queued, [], 0
        return queued
