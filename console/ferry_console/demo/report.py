"""How the demo ends: a table that accounts for every message, and three commands to paste next."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ferry_console.demo.account import Account, percentile

_MISSING_SHOWN = 10


def show(account: Account, seconds: float, console: Console) -> None:
    """Print the account as a table, then what is missing or repeated."""
    table = Table(title="Every message accounted for" if account.complete else "Not every message accounted for")
    table.add_column("messages")
    table.add_column("count", justify="right")
    table.add_column("counted from", style="dim")
    table.add_row("given", f"{account.given:,}", "words, lines of the file, one broken message")
    table.add_row("sent", f"{len(account.sent):,}", "records in Kafka")
    table.add_row("done", f"{len(account.done):,}", "lines the worker printed")
    table.add_row("dead letters", f"{len(account.dead):,}", "records in the dead-letter topic")
    table.add_row("missing", f"{len(account.missing):,}", "sent - done - dead letters")
    table.add_row("repeated", f"{len(account.repeated):,}", "ended more than once", end_section=True)
    for name, value in latencies(account):
        table.add_row(f"latency {name}", value, "sent to started; the file is one burst")
    table.add_row("from first to last", f"{seconds:.2f} s", "")
    console.print(table)
    for name, task_ids in (("missing", account.missing), ("repeated", account.repeated)):
        if task_ids:
            console.print(f"{name}: {_some(sorted(task_ids))}", style="bold red", highlight=False, soft_wrap=True)


def latencies(account: Account) -> list[tuple[str, str]]:
    """Median, 99th percentile and maximum, with their unit; a dash without a message done."""
    values = account.latencies_ms
    if not values:
        return [("p50", "-"), ("p99", "-"), ("max", "-")]
    found = {"p50": percentile(values, 50), "p99": percentile(values, 99), "max": values[-1]}
    return [(name, f"{value:,.0f} ms") for name, value in found.items()]


def show_next(commands: Sequence[str], console: Console) -> None:
    """Print commands to paste."""
    console.print("\nPaste next:", highlight=False)
    for command in commands:
        console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def _some(task_ids: Sequence[str]) -> str:
    more = len(task_ids) - _MISSING_SHOWN
    return ", ".join(task_ids[:_MISSING_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
