"""What a run tells at its end: one line, one exit code, and the same as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal

    from ferry_producer.account import Account

OK = 0
BAD_INPUT = 1
CONFIGURATION = 2
NOT_ACKNOWLEDGED = 3
#: What a shell gives a process ended by a signal: 130 for Ctrl-C, 143 for SIGTERM.
SIGNAL_BASE = 128

#: What a message has become that counts as acknowledged; up to the comma, in short.
ACKNOWLEDGED = "acknowledged"
UNCONFIRMED = "handed to Kafka, unconfirmed (acks=0)"
DRY_RUN = "valid, nothing sent (--dry-run)"
_LATENCY_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended. `finished`: everything that was to be read was read; with `--forever` a signal is the end.

    `word` says what a message has become that counts as acknowledged.
    """

    finished: bool
    stopped_by: signal.Signals | None
    seconds: float
    word: str = ACKNOWLEDGED


def exit_code(account: Account, end: End, *, stop_at_invalid: bool = False) -> int:
    """0: all that was given is acknowledged. 3: something is not. 130, 143: a signal came first. 1: bad input."""
    if account.failed or account.unkept:
        return NOT_ACKNOWLEDGED
    if stop_at_invalid and account.invalid:
        return BAD_INPUT
    if account.unsent:
        return NOT_ACKNOWLEDGED
    if end.stopped_by is not None and not end.finished:
        return SIGNAL_BASE + end.stopped_by
    return OK if end.finished and not account.invalid else BAD_INPUT


def sentence(account: Account, end: End) -> str:
    """The line that ends a run."""
    rate = account.acknowledged / end.seconds if end.seconds > 0 else 0.0
    parts = [
        f"{_count(account.acknowledged, 'message')} {end.word}, {account.failed:,} failed, "
        f"in {end.seconds:.2f} s ({rate:,.0f}/s)"
    ]
    if latencies := latency_milliseconds(account):
        parts.append("latency " + ", ".join(f"{name} {_rounded(value)} ms" for name, value in latencies.items()))
    parts += [f"{count:,} not acknowledged: {reason}" for reason, count in account.failures.most_common()]
    if account.unsent:
        parts.append(f"{_count(account.unsent, 'message')} read and not sent")
    if account.unkept:
        parts.append(f"{_count(account.unkept, 'line')} of them in no file")
    if account.invalid:
        parts.append(f"{_count(account.invalid, 'line')} invalid and not sent")
    return "; ".join(parts)


def document(account: Account, end: End, code: int) -> dict[str, Any]:
    """The object that `--json` prints."""
    return {
        "acknowledged": account.acknowledged,
        "failed": account.failed,
        "failures": dict(account.failures),
        "invalid": account.invalid,
        "unsent": account.unsent,
        "last_line": account.last_line,
        "undelivered": account.undelivered.lines if account.undelivered is not None else None,
        "unkept": account.unkept,
        "finished": end.finished,
        "signal": end.stopped_by.name if end.stopped_by is not None else None,
        "seconds": round(end.seconds, 3),
        "latency_ms": latency_milliseconds(account),
        "exit_code": code,
    }


def latency_milliseconds(account: Account) -> dict[str, float]:
    """From handing a message over to Kafka's acknowledgement, as percentiles; empty if nothing is known of it."""
    return dict(zip(_LATENCY_SHARES, account.latencies.milliseconds(*_LATENCY_SHARES.values()), strict=False))


def _rounded(milliseconds: float) -> str:
    return f"{milliseconds:,.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}"  # noqa: PLR2004 - three digits


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
