"""A short run for every change: is dispatch still about as far ahead of the plain loop, and as close to the limit?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import dispatch
from bench.gates import Gate
from bench.report import Report
from bench.rounds import alternate
from bench.servers import started_servers
from bench.work import produce_backlog

if TYPE_CHECKING:
    from bench.options import Options

NAME = "regression"
#: Ratios of medians of alternating rounds: how fast the machine is changes little. A limit is this share of what is
#: usual, the second number below: a halving is caught, and what a busy machine does to a short round isn't.
SHARE_OF_USUAL = 0.6


def _gate(what: str, over: str, under: str, usual: float) -> Gate:
    return Gate(what, NAME, over, under, SHARE_OF_USUAL * usual, usual)


GATES = (
    _gate("dispatch, single tasks / plain loop", "ferry_single", "plain", 60.0),
    _gate("dispatch, single tasks / raw consume + parse", "ferry_single", "raw", 0.135),
    _gate("dispatch, batches of 100 / plain loop", "ferry_batch", "plain", 135.0),
    _gate("dispatch, batches of 100 / raw consume + parse", "ferry_batch", "raw", 0.3),
)


def run(options: Options) -> Report:
    """Measure those whom the ratios need."""
    keys = {key for gate in GATES for key in (gate.over, gate.under)}
    with started_servers() as servers:
        options.tell(f"producing a backlog of {options.messages:,}")
        produce_backlog(servers.kafka.bootstrap_servers, dispatch.NAME, options.messages)
        subjects = [subject for key, subject in dispatch.subjects(servers, options).items() if key in keys]
        measured = alternate(subjects, options.rounds, options.tell)
    facts = {"messages": options.messages, "rounds": options.rounds, "seconds": options.seconds} | measured.facts
    return Report(NAME, measured.series, measured.missing, facts=facts)
