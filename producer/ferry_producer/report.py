"""The account of one run: what was acknowledged and what not, in one line and one exit code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferry_producer.delivery import Delivered

if TYPE_CHECKING:
    import signal

    from ferry_producer.delivery import Outcome

OK = 0
BAD_INPUT = 1
CONFIGURATION = 2
NOT_ACKNOWLEDGED = 3
#: What a shell gives a process ended by a signal: 130 for Ctrl-C, 143 for SIGTERM.
SIGNAL_BASE = 128


@dataclass(slots=True)
class Tally:
    """Counts of one run. Every valid text read is acknowledged, failed or unsent."""

    acknowledged: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    unsent: int = 0
    #: Whether Kafka stopped answering (and not merely refused a message).
    silent: bool = False

    @property
    def failed(self) -> int:
        """Messages handed over that Kafka did not acknowledge."""
        return self.failures.total()

    def settle(self, outcome: Outcome) -> None:
        """Count one outcome."""
        if isinstance(outcome, Delivered):
            self.acknowledged += 1
        else:
            self.failures[outcome.reason] += 1
            self.silent = self.silent or not outcome.refused


def exit_code(tally: Tally, stopped_by: signal.Signals | None, *, finished: bool) -> int:
    """0: all that was given is acknowledged. 3: something is not. 130, 143: a signal came first. 1: bad input.

    `finished` says that the input was read to its end; with `--forever` a signal is the end.
    """
    if tally.failed or tally.unsent:
        return NOT_ACKNOWLEDGED
    if stopped_by is not None and not finished:
        return SIGNAL_BASE + stopped_by
    return OK if finished and not tally.invalid else BAD_INPUT


def sentence(tally: Tally, seconds: float, *, confirmed: bool) -> str:
    """The line that ends a run; `confirmed` is False with acks=0, where Kafka confirms nothing."""
    word = "acknowledged" if confirmed else "handed to Kafka, unconfirmed (acks=0)"
    rate = tally.acknowledged / seconds if seconds > 0 else 0.0
    parts = [
        f"{_count(tally.acknowledged, 'message')} {word}, {tally.failed:,} failed, in {seconds:.2f} s ({rate:,.0f}/s)"
    ]
    parts += [f"{count:,} not acknowledged: {reason}" for reason, count in tally.failures.most_common()]
    if tally.unsent:
        parts.append(f"{_count(tally.unsent, 'message')} read and not sent")
    if tally.invalid:
        parts.append(f"{_count(tally.invalid, 'line')} invalid and not sent")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
