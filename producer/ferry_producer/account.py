"""The account of one run: each line that was read ends as acknowledged, failed, invalid or unsent."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferry_producer.latency import Latencies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_producer.delivery import Undelivered
    from ferry_producer.lines import Line
    from ferry_producer.undelivered import UndeliveredFile

logger = logging.getLogger("ferry.producer")


@dataclass(slots=True)
class Account:
    """Counts of one run, and where lines go that are not acknowledged."""

    undelivered: UndeliveredFile | None = None
    acknowledged: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    unsent: int = 0
    #: The number of the last line that was taken from the input.
    last_line: int = 0
    #: Whether Kafka stopped answering (and not merely refused a message).
    silent: bool = False
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def failed(self) -> int:
        """Messages handed over that Kafka did not acknowledge."""
        return self.failures.total()

    @property
    def unkept(self) -> int:
        """Lines that were to be kept in the file and are in none."""
        return self.undelivered.failed if self.undelivered is not None else 0

    @property
    def handed_over(self) -> int:
        """Messages with an outcome."""
        return self.acknowledged + self.failed

    def acknowledge(self, latencies: Sequence[float | None]) -> None:
        """Count so many, each acknowledged after so many seconds; None where nobody knows."""
        self.acknowledged += len(latencies)
        self.latencies.add([seconds for seconds in latencies if seconds is not None])

    def fail(self, line: Line, outcome: Undelivered) -> None:
        """Kafka did not acknowledge a line."""
        self.failures[outcome.reason] += 1
        self.silent = self.silent or not outcome.refused
        self._keep(line)

    def refuse(self, line: Line, problem: str) -> None:
        """A line is no message."""
        self.invalid += 1
        logger.warning("line %d is invalid and not sent: %s", line.number, problem)
        self._keep(line)

    def leave(self, lines: Sequence[Line], *, asked_for: bool = True) -> None:
        """Lines were read and will not be sent; those beyond `--count` are not asked for, and still kept."""
        if asked_for:
            self.unsent += len(lines)
        for line in lines:
            self._keep(line)

    def cut(self, content: bytes) -> None:
        """A line was read in part; whoever sends the file and then the rest of the input sends it whole."""
        if self.undelivered is not None:
            self.undelivered.add(content, end=b"")
        else:
            logger.warning("the beginning of line %d was read and is not sent", self.last_line + 1)

    def _keep(self, line: Line) -> None:
        if self.undelivered is not None and line.content is not None and not self.undelivered.add(line.content):
            logger.error("line %d is not acknowledged and in no file", line.number)
