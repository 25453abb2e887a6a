"""The help of all commands: alike in form and words, and there at once."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ferry_console.cli import main, parser

HEAVY = {"celery", "confluent_kafka", "jgo", "pydantic", "redis", "rich", "shtab", "asyncio", "orjson"}
#: Python itself has loaded 35; argparse and what the command lines are made of add some 60 small ones.
MOST_MODULES = 130
CHANGING = {
    "pause", "resume", "drain", "skip", "forget", "dead-letters replay", "dead-letters purge", "topics create",
}  # fmt: skip
FOR_GOOD = {"forget", "dead-letters purge"}
WITHOUT_JSON = {"up", "demo"}


def leaves(root: argparse.ArgumentParser, *names: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, by its words."""
    below = [action for action in root._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield " ".join(names), root
    for action in below:
        for name, each in action.choices.items():
            yield from leaves(each, *names, name)


COMMANDS = dict(leaves(parser()))
each_command = pytest.mark.parametrize("name", COMMANDS)


def options(command: argparse.ArgumentParser) -> dict[str, str]:
    """What is said of each option."""
    return {option: action.help or "" for action in command._actions for option in action.option_strings}


def test_all_commands_are_looked_at() -> None:
    """Those that change something among them."""
    assert set(COMMANDS) > CHANGING | FOR_GOOD | WITHOUT_JSON
    assert len(COMMANDS) == 16


@each_command
def test_it_is_explained(name: str) -> None:
    """One sentence, examples of itself, exit codes; nothing that is wider than a screen of 120 characters."""
    command = COMMANDS[name]
    assert re.fullmatch(r"[A-Z][^.]*\.", command.description or "")
    examples, _, rest = (command.epilog or "").partition("\n\n")
    first, *lines = examples.splitlines()
    assert first == "examples:"
    assert lines
    assert all(line.startswith(f"  ferry {name}") for line in lines)
    assert re.search(r"^exit codes: 0 ", rest, re.MULTILINE)
    assert "2 wrong usage" in rest.replace("\n", " ")
    assert max(map(len, (command.epilog or "").splitlines())) <= 120
    assert not command.allow_abbrev


@each_command
def test_its_options_have_the_words_of_the_others(name: str) -> None:
    """What changes something can be tried, what can't be undone asks; programs get an object of all but the system."""
    said = options(COMMANDS[name])
    dry_run = {"--dry-run": "say what would happen, and change nothing"} if name in CHANGING else {}
    assert {option: told for option, told in said.items() if option == "--dry-run"} == dry_run
    assert ("--yes" in said) == (name in FOR_GOOD)
    assert ("--json" in said) == (name not in WITHOUT_JSON)
    for option, told in said.items():
        assert told, option
        assert told[0].islower(), option
        assert not told.endswith("."), option
    metavars = {str(action.metavar) for action in COMMANDS[name]._actions if action.metavar}
    assert all(re.fullmatch(r"[A-Z]+(\[:[A-Z]+\])?", metavar) for metavar in metavars)
    assert metavars.isdisjoint({"N", "SEC", "DIR"})


@pytest.mark.parametrize("words", [[], *(name.split() for name in COMMANDS)], ids=" ".join)
def test_help_is_there_at_once(words: list[str]) -> None:
    """It loads nothing that takes long, and few modules at all: time is what they cost, and isn't measured here."""
    program = (
        "import sys; from ferry_console.cli import main\n"
        f"try: main([*{words!r}, '--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stderr.split()
    assert not HEAVY & set(loaded)
    assert len(loaded) <= MOST_MODULES


@each_command
def test_what_it_does_not_know_is_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, how this command is used, and what it doesn't know."""
    needed = ["messages"] * sum(bool(each.required) for each in COMMANDS[name]._actions if not each.option_strings)
    reason = ["--reason", "why"] if name == "skip" else []
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), *needed, *reason, "--no-such-option"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"usage: ferry {name} ")
    assert told.endswith("unrecognized arguments: --no-such-option\n")
