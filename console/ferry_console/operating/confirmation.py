"""Ask before something is done that can't be undone."""

import sys

from ferry_shared.logs import printable

NEEDS_YES = "expected --yes: this can't be undone, and there is no terminal to ask on"


def can_ask() -> bool:
    """Whether somebody sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str) -> bool:
    """Ask on standard error; only `y` or `yes` is a yes."""
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
