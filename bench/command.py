"""`python -m bench`: measure, tell, keep, judge."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from redis import RedisError

from bench import dispatch, end_to_end, gates, latency, memory, produce, regression, scaling
from bench.arguments import REGRESSION, SIZES, parse
from bench.failures import MeasurementFailed
from bench.files import read_reports, write_report
from bench.options import Options
from bench.progress import telling
from bench.text import code_lines, gate_lines, missing_lines, report_lines
from ferry_console.local.errors import LocalSystemError
from ferry_console.output import json_line, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType
    from typing import NoReturn

    from bench.arguments import Arguments, Size
    from bench.gates import Gate, Judged
    from bench.report import Report

EXIT_OK, EXIT_NOT_SO, EXIT_USAGE, EXIT_SERVERS, EXIT_INTERRUPTED, EXIT_TERMINATED = 0, 1, 2, 3, 130, 143
MEASUREMENTS: dict[str, Callable[[Options], Report]] = {
    "produce": produce.run,
    "dispatch": dispatch.run,
    "end_to_end": end_to_end.run,
    "latency": latency.run,
    "memory": memory.run,
    "scaling": scaling.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parse(argv)
    try:
        with _stopped_by_signal():
            return _run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (LocalSystemError, KafkaException, RedisError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_SERVERS
    except MeasurementFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_NOT_SO
    except (OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_USAGE


def _run(arguments: Arguments) -> int:
    if arguments.command == "gates":
        found = read_reports(arguments.folder, MEASUREMENTS)
        judged = gates.judge(gates.GATES, found)
        say([json_line([_document(item) for item in judged])] if arguments.json else gate_lines(judged))
        incomplete = [line for report in found.values() for line in missing_lines(report)]
        for line in incomplete:
            print(f"bench: {line}", file=sys.stderr)
        return EXIT_OK if not incomplete and all(item.holds for item in judged) else EXIT_NOT_SO
    if arguments.command == "regression":
        report = _measured(regression.NAME, regression.run, REGRESSION, arguments)
        return _tell(report, regression.GATES, arguments)
    if arguments.command != "all":
        report = _measured(arguments.command, MEASUREMENTS[arguments.command], SIZES[arguments.command], arguments)
        _tell(report, gates.GATES, arguments)
        # What its ratios are is told; a short measurement is no verdict.
        return EXIT_NOT_SO if report.missing else EXIT_OK
    return max([_measured_and_told(name, arguments) for name in MEASUREMENTS])


def _measured_and_told(name: str, arguments: Arguments) -> int:
    """One of all; one that can't be measured stops none of the others."""
    try:
        return _tell(_measured(name, MEASUREMENTS[name], SIZES[name], arguments), gates.GATES, arguments)
    except MeasurementFailed as error:
        print(f"bench: {name}: {error}", file=sys.stderr)
        return EXIT_NOT_SO


def _measured(name: str, run: Callable[[Options], Report], size: Size, arguments: Arguments) -> Report:
    """Measure, and keep the report if a folder is given."""
    messages, rounds = arguments.messages or size.messages, arguments.rounds or size.rounds
    with telling(name) as tell:
        report = run(Options(messages, rounds, arguments.seconds or size.seconds, tell))
    if arguments.output:
        write_report(arguments.output, report)
    return report


def _tell(report: Report, all_gates: Sequence[Gate], arguments: Arguments) -> int:
    """Print a report and its gates; the exit code says whether they hold and all was measured."""
    judged = gates.judge([gate for gate in all_gates if gate.report == report.name], {report.name: report})
    if arguments.json:
        say([json_line(report.to_document() | {"gates": [_document(item) for item in judged]})])
    else:
        say([*report_lines(report), *(code_lines(report) if arguments.code else ()), ""])
        if judged:
            say([*gate_lines(judged), ""])
    return EXIT_OK if not report.missing and all(item.holds for item in judged) else EXIT_NOT_SO


def _document(item: Judged) -> dict[str, object]:
    return asdict(item.gate) | {"measured": item.measured, "holds": item.holds, "reaches_goal": item.reaches_goal}


@contextmanager
def _stopped_by_signal() -> Iterator[None]:
    """At SIGTERM stop what was started, as at Ctrl-C."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
