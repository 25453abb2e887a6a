"""`mixture`: every kind of fault, in an order that the seed determines, and everything accounted for."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from tests.chaos import record
from tests.chaos.limits import Limits
from tests.chaos.messages import payloads
from tests.chaos.oracle.verdict import FULL, SHORT, Verdict, judge
from tests.chaos.plan import FULL_RUN_SECONDS, plan
from tests.chaos.run import Task, carry_out

if TYPE_CHECKING:
    from tests.chaos.display import Display


def mixture(task: Task, display: Display) -> Verdict:
    """Run, judge, write the record."""
    limits, faults = Limits(batch_size=task.batch_size), plan(task.seed, task.seconds)
    run, evidence = carry_out(task, limits, faults, payloads(task.seed), display, lambda _: nullcontext())
    verdict = judge(evidence, run, limits, FULL if task.seconds >= FULL_RUN_SECONDS else SHORT)
    record.write(task, run, evidence, verdict)
    return verdict
