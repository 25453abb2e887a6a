"""The command `ferry-producer`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ferry_producer.arguments import parse

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        arguments = parse(argv)
        from ferry_producer import command  # noqa: PLC0415 - heavy, and --help must not wait for it

        return command.execute(arguments)
    except KeyboardInterrupt:
        return 130
    finally:
        _close_stdout()


def _close_stdout() -> None:
    """`ferry-producer --help | head -1`: a reader who left is no error, also not when the interpreter flushes."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
