"""What the command lines of `ferry` have in common: how a command is explained, and options that several have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Commands = _SubParsersAction[argparse.ArgumentParser]


def add_command(commands: Commands, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    """Add a command or verb; the epilog has examples and exit codes."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Of what it doesn't know argparse tells with the usage of the whole program, not with the command's.
    parser.set_defaults(parser=parser)
    return parser


def add_verbs(commands: Commands, name: str, summary: str, epilog: str) -> Commands:
    """Add a command that has verbs."""
    return add_command(commands, name, summary, epilog).add_subparsers(dest="verb", required=True, metavar="VERB")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for machines."""
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add the option of everything that changes something."""
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the option of everything that can't be undone."""
    parser.add_argument("--yes", action="store_true", help="don't ask")
