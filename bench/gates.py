"""What must hold, and where we want to be: ratios of what was measured in one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.report import Report


@dataclass(frozen=True, slots=True)
class Gate:
    """The median of series `over`, divided by that of `under` (None: as it is, without its sign), in report `report`.

    `gate` must hold and `goal` is aimed at: as the least values if `at_least`, else as the greatest.
    """

    what: str
    report: str
    over: str
    under: str | None
    gate: float
    goal: float
    at_least: bool = True

    def holds(self, measured: float, limit: float) -> bool:
        """Whether a measured value is within a limit: the gate or the goal."""
        return measured >= limit if self.at_least else measured <= limit


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate and what was measured, None where nothing was."""

    gate: Gate
    measured: float | None

    @property
    def holds(self) -> bool:
        """Whether the gate holds; one that was not measured doesn't."""
        return self.measured is not None and self.gate.holds(self.measured, self.gate.gate)

    @property
    def reaches_goal(self) -> bool:
        """Whether it is where we want to be."""
        return self.measured is not None and self.gate.holds(self.measured, self.gate.goal)


def _latency(what: str, over: str, under: str, gate: float, goal: float) -> tuple[Gate, ...]:
    return tuple(
        Gate(f"{what}, {part}", "latency", f"{over}_{part}", f"{under}_{part}", gate, goal, at_least=False)
        for part in ("p50", "p99")
    )


GATES: tuple[Gate, ...] = (
    Gate("dispatch, single tasks / plain loop", "dispatch", "ferry_single", "plain", 15, 25),
    Gate("dispatch, single tasks / kombu's Producer.batch", "dispatch", "ferry_single", "kombu", 6, 10),
    Gate("dispatch, single tasks / raw consume + parse", "dispatch", "ferry_single", "raw", 0.3, 0.5),
    Gate("dispatch, batches of 100 / raw consume + parse", "dispatch", "ferry_batch", "raw", 0.7, 0.95),
    Gate("end to end, batches, no-op / plain loop + stock worker", "end_to_end", "ferry_noop", "plain_noop", 40, 70),
    Gate("end to end, batches, printSomething / the same", "end_to_end", "ferry_print", "plain_print", 10, 20),
    Gate("producer from a file / kcat -P, first to last", "produce", "ferry", "kcat", 0.4, 0.7),
    Gate("the same, the whole command", "produce", "ferry_whole", "kcat_whole", 0.4, 0.7),
    *_latency("latency at 100/s / plain loop", "ferry_100", "plain_100", 1.2, 0.8),
    *_latency("latency at 400/s / plain loop", "ferry_400", "plain_400", 1.2, 0.8),
    *_latency("latency at 1,000/s with batches / itself at 100/s", "batch_1000", "batch_100", 2, 1.2),
    Gate("consumer memory, large backlog / small", "memory", "rss_large", "rss_small", 1.1, 1.03, at_least=False),
    Gate("consumer CPU a message, drift over a backlog in %", "memory", "cpu_drift", None, 10, 5, at_least=False),
)  # fmt: skip


def judge(gates: Sequence[Gate], reports: Mapping[str, Report]) -> list[Judged]:
    """Compare each gate with the reports, by name, that there are."""
    return [Judged(gate, _measured(gate, reports.get(gate.report))) for gate in gates]


def _measured(gate: Gate, report: Report | None) -> float | None:
    over = report.find(gate.over) if report else None
    if report is None or over is None:
        return None
    if gate.under is None:
        return abs(over.median)
    under = report.find(gate.under)
    return over.median / under.median if under is not None and under.median else None
