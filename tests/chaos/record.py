"""The record of a run: JSON with everything, and a page for people."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.chaos.evidence import place_of
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.tags import Tag, is_batch
from tests.chaos.ticks import RAN, SENDING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.evidence import Evidence
    from tests.chaos.memory import Growth
    from tests.chaos.oracle.explanation import Repeat
    from tests.chaos.oracle.verdict import Verdict
    from tests.chaos.outcome import Run
    from tests.chaos.run import Task

PAGE_FILE = "record.md"


def as_json(task: Task, run: Run, evidence: Evidence, verdict: Verdict, growths: Sequence[Growth]) -> dict[str, Any]:
    """Everything: each fault, each repeated id with its cause."""
    return {
        "seed": task.seed,
        "seconds": task.seconds,
        "rate": task.rate,
        "batch size": task.batch_size,
        "passed": verdict.passed,
        "problems": verdict.problems,
        "messages": {
            **asdict(run.load), "in Kafka": len(evidence.log),
            "by behaviour": Counter(evidence.log.values()),
        },
        "partitions": [asdict(account) for account in verdict.accounts],
        "queued": {"ids": len(evidence.pushes_of), "copies": len(evidence.pushes), "inferred": verdict.inferred,
                   "batches": batch_sizes(evidence),
                   "again": [_repeat(repeat) for repeat in verdict.repeats.queueings]},
        "executed": {"ids": len(evidence.executions_of), "times": len(evidence.executions),
                     "again": [_repeat(repeat) for repeat in verdict.repeats.executions]},
        "dead letters": {"ids": len(evidence.dead_letters_of), "records": len(evidence.dead_letters),
                         "again": [_repeat(repeat) for repeat in verdict.repeats.dead_letters],
                         "under faults": [_repeat(repeat) for repeat in verdict.repeats.endings]},
        "faults": [
            {**asdict(line.fault), "in_flight": line.in_flight, "recovery_seconds": line.recovery_seconds,
             "effects": [{"effect": type(effect).__name__, **asdict(effect)} for effect in line.fault.effects]}
            for line in verdict.faults
        ],
        "drained": asdict(run.drained),
        "keys left in Redis": run.keys_left,
        "memory": [asdict(growth) for growth in growths],
        "CPU seconds of the harness": run.harness_cpu_seconds,
        "unexpected exits": [{**asdict(ended), "excused": ended in verdict.fenced} for ended in run.unexpected_exits],
        "stops": [asdict(stop) for stop in run.stops],
        "starts of Valkey": {"started": run.servers_started, "observed": run.servers_observed},
        "schedule": [asdict(tick) for tick in run.ticks],
        "Ferry's counts": {"compared": [asdict(row) for row in verdict.counts],
                           "consumers": [asdict(process) for process in run.counts.processes],
                           "ledgers": {partition: asdict(count) for partition, count in run.counts.ledgers.items()}},
    }  # fmt: skip


def _repeat(repeat: Repeat) -> dict[str, Any]:
    return {"id": repeat.task_id, "at": repeat.at, "what": repeat.what, "cause": repeat.cause,
            "fault": repeat.explanation.fault if repeat.explanation else None}  # fmt: skip


def as_markdown(task: Task, run: Run, evidence: Evidence, verdict: Verdict, growths: Sequence[Growth]) -> str:
    """The page."""
    return "\n".join(_lines(task, run, evidence, verdict, growths)) + "\n"


def _lines(task: Task, run: Run, evidence: Evidence, verdict: Verdict, growths: Sequence[Growth]) -> Iterator[str]:
    yield f"# Chaos, {task.command}, seed {task.seed}: {'passed' if verdict.passed else 'FAILED'}"
    yield ""
    yield f"`{task.command_line}`"
    yield ""
    yield (
        f"{task.rate} messages a second for {task.seconds:g} s: {run.load.acknowledged} messages, "
        f"{len(run.faults)} faults."
    )
    yield (
        f"Drained within {run.drained.seconds:.0f} s after the load, of {run.drained.most_seconds:.0f} s at most. "
        f"Copies that are only inferred: {verdict.inferred}. Exits excused by a Kafka that had been away: "
        f"{len(verdict.fenced)}."
    )
    if task.batch_size > 1:
        sizes = batch_sizes(evidence)
        batches, messages = sum(sizes.values()), sum(size * count for size, count in sizes.items())
        yield f"In batches of up to {task.batch_size}: {batches} batches with {messages} messages."
    yield ""
    yield from (f"- **{problem}**" for problem in verdict.problems)
    yield from _accounts(evidence, verdict)
    yield from _faults(verdict)
    first = len(evidence.pushes_of)
    yield from _causes(
        f"Queued: {first} ids once, {len(evidence.pushes) - first} copies more", verdict.repeats.queueings
    )
    first = len(evidence.executions_of)
    yield from _causes(
        f"Executed: {first} ids once, {len(evidence.executions) - first} runs more", verdict.repeats.executions
    )
    first = len(evidence.dead_letters_of)
    yield from _causes(
        f"Dead letters: {first} ids once, {len(evidence.dead_letters) - first} more", verdict.repeats.dead_letters
    )
    yield from _causes("Valid messages that a fault made dead letters", verdict.repeats.endings)
    yield from _counts(run, verdict)
    yield from _processes(run)
    yield from _memory(growths)
    yield ""
    yield "Keys left in Redis: " + ", ".join(f"`{key}`" for key in run.keys_left) + "."


def batch_sizes(evidence: Evidence) -> Counter[int]:
    """How many batches were queued, by the number of their messages."""
    return Counter(len(Tag.of(tag).task_ids) for tag in {push.tag for push in evidence.pushes} if is_batch(tag))


def _accounts(evidence: Evidence, verdict: Verdict) -> Iterator[str]:
    yield from _table(
        "Every offset",
        ("partition", "offsets", "done", "dead", "neither: lost"),
        [(one.partition, one.offsets, one.done, one.dead, len(one.lost)) for one in verdict.accounts]
        + [
            (
                "all", sum(one.offsets for one in verdict.accounts), sum(one.done for one in verdict.accounts),
                sum(one.dead for one in verdict.accounts), sum(len(one.lost) for one in verdict.accounts),
            )
        ],
    )  # fmt: skip
    counts = Counter(evidence.log.values())
    yield ""
    yield "Of them " + ", ".join(f"{counts[behaviour]} {behaviour}" for behaviour in Behaviour) + "."


def _faults(verdict: Verdict) -> Iterator[str]:
    begin = min((line.fault.at for line in verdict.faults), default=0.0)
    yield from _table(
        "Faults",
        ("", "kind", "target", "after s", "in flight", "lasted s", "next done after s", "proof"),
        [
            (
                line.fault.number, line.fault.kind, line.fault.target, f"{line.fault.at - begin:.1f}", line.in_flight,
                f"{line.fault.healed - line.fault.at:.1f}",
                "-" if line.recovery_seconds is None else f"{line.recovery_seconds:.2f}",
                line.fault.proof if line.fault.proven else f"**not proven**: {line.fault.proof}",
            )
            for line in verdict.faults
        ],
    )  # fmt: skip


def _counts(run: Run, verdict: Verdict) -> Iterator[str]:
    yield from _table(
        "Queued again: what MONITOR saw, and Ferry's own counts",
        ("counter", "seen", "counted", "its reply or its memory was lost with a fault", "missing"),
        [(row.counter, row.seen, row.counted, row.excused, len(row.missing)) for row in verdict.counts],
    )
    handed_back = Counter(
        place_of(repeat.task_id).partition for repeat in verdict.repeats.queueings if repeat.what == Cause.TRANSPORT
    )
    yield from _table(
        "What `ferry status` says at the end; Redis may have forgotten some",
        ("partition", "handed back by the transport, as MONITOR saw it", "restored", "rewound"),
        [
            (partition, handed_back[partition], count.restored, count.rewound)
            for partition, count in sorted(run.counts.ledgers.items())
        ],
    )


def _processes(run: Run) -> Iterator[str]:
    yield from _table(
        "Processes that were asked to end",
        ("service", "process", "exit code", "after s"),
        [(stop.service, stop.pid, stop.code, f"{stop.seconds:.1f}") for stop in run.stops],
    )
    counts = Counter(tick.what for tick in run.ticks)
    yield ""
    yield f"Runs of beat's schedule: {counts[SENDING]} sent, {counts[RAN]} done (what waits for too long expires)."


def _memory(growths: Sequence[Growth]) -> Iterator[str]:
    if growths:
        yield from _table(
            "Resident memory by role, of the processes that lived from the first quarter to the end",
            ("role", "processes", "third quarter, MiB", "last quarter, MiB", "growth"),
            [
                (
                    growth.role, growth.processes, f"{growth.third_quarter / 2**20:.1f}",
                    f"{growth.last_quarter / 2**20:.1f}", f"{growth.share:+.1%}",
                )
                for growth in growths
            ],
        )  # fmt: skip


def _causes(title: str, repeats: Sequence[Repeat]) -> Iterator[str]:
    counts = Counter((repeat.what, repeat.cause) for repeat in repeats)
    yield from _table(title, ("what", "cause", "times"), [(*pair, count) for pair, count in counts.most_common()])


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    if not rows:
        yield "None."
        return
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def write(task: Task, run: Run, evidence: Evidence, verdict: Verdict, growths: Sequence[Growth] = ()) -> None:
    """Write `record.json` and `record.md`."""
    page = as_markdown(task, run, evidence, verdict, growths)
    everything = as_json(task, run, evidence, verdict, growths)
    (task.directory / PAGE_FILE).write_text(page)
    (task.directory / "record.json").write_text(json.dumps(everything, indent=1))
