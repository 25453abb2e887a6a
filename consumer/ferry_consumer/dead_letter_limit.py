"""When nearly everything of a topic is invalid, the sender is at fault: stop before the topic becomes dead letters."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.ledger.dispatches import Dispatch
    from ferry_shared.record import TopicPartition

#: A window is kept as about so many counts, however long it is.
_COUNTS = 100


class InvalidWindow:
    """How many of a topic's last records were invalid.

    It counts drains, not records: it holds the last `run` records and at most one count more than that.
    """

    def __init__(self, run: int) -> None:
        self._run = run
        self._counts: deque[tuple[int, int]] = deque()
        self.records = 0
        self.invalid = 0

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, records: int, invalid: int) -> None:
        """Note that of `records` more records `invalid` were invalid."""
        self.records += records
        self.invalid += invalid
        if self._counts and self._counts[-1][0] + records <= self._run // _COUNTS:
            before = self._counts.pop()
            records, invalid = records + before[0], invalid + before[1]
        self._counts.append((records, invalid))
        while self.records - self._counts[0][0] >= self._run:
            gone = self._counts.popleft()
            self.records -= gone[0]
            self.invalid -= gone[1]

    def exceeds(self, ratio: float) -> bool:
        """Tell whether the run is full and at least `ratio` of it was invalid."""
        return self.records >= self._run and self.invalid >= ratio * self.records


@dataclass(frozen=True, slots=True)
class Excess:
    """A topic past its limit: the counts, and of its last drain the commonest reason and a record of that kind."""

    records: int
    invalid: int
    reason: str
    place: TopicPartition
    member: str


class DeadLetterLimit:
    """The windows of this consumer's topics."""

    def __init__(self, ratio: float, run: int) -> None:
        """`run` 0 switches it off."""
        self._ratio = ratio
        self._run = run
        self._windows: dict[str, InvalidWindow] = {}

    def exceeded_by(self, topic: str, drained: Sequence[Dispatch]) -> Excess | None:
        """Count a drain of a topic, all partitions together, before it is dispatched; past the limit say by what."""
        if not self._run:
            return None
        invalid = sum(len(call.invalid) for call in drained)
        window = self._windows.setdefault(topic, InvalidWindow(self._run))
        window.add(sum(call.valid for call in drained) + invalid, invalid)
        if not invalid or not window.exceeds(self._ratio):
            return None
        reasons = Counter(record.error.partition(":")[0] for call in drained for record in call.invalid)
        ((reason, _),) = reasons.most_common(1)
        place, member = next(
            (call.place, record.member)
            for call in drained
            for record in call.invalid
            if record.error.partition(":")[0] == reason
        )
        return Excess(window.records, window.invalid, reason, place, member)

    def start_anew(self, topic: str) -> None:
        """Forget what was counted of a topic."""
        self._windows.pop(topic, None)
