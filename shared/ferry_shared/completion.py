"""`--print-completion SHELL`: a script that completes a command's options by TAB, without starting Python for it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

SHELLS = ("bash", "zsh", "tcsh")


class _Print(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        import shtab  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the option; it prints the script for all that the parser has by then and ends the process with 0."""
    parser.add_argument(
        "--print-completion",
        action=_Print,
        choices=SHELLS,
        default=argparse.SUPPRESS,
        help="print a script that completes options by TAB",
    )
