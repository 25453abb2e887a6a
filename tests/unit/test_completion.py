"""Completion by TAB, in a real shell."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: What bash does at TAB: it calls the function that is registered for the command.
TAB = """
source /dev/stdin
COMP_WORDS=({words} "{begun}") COMP_CWORD={number} COMP_LINE="{words} {begun}"
$(complete -p {command} | sed 's/.*-F \\([^ ]*\\) .*/\\1/') {command} "{begun}" "{last}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(module: str, command: str, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    script = subprocess.run(
        [sys.executable, "-m", module, "--print-completion", "bash"], capture_output=True, check=True
    ).stdout
    *before, begun = [command, *words]
    lines = TAB.format(command=command, words=" ".join(before), begun=begun, number=len(before), last=before[-1])
    done = subprocess.run(["bash", "-c", lines], input=script, capture_output=True, check=False)
    assert done.stderr == b""
    return sorted(word.strip() for word in done.stdout.decode().splitlines() if word.strip())


def test_options_and_choices_of_the_producer() -> None:
    """Options by their beginning, and the values of those that have choices."""
    assert completed("ferry_producer", "ferry-producer", "--key") == ["--key", "--key-field"]
    assert completed("ferry_producer", "ferry-producer", "--on-invalid", "s") == ["skip", "stop"]


def test_commands_of_the_console() -> None:
    """And the options of each."""
    assert {"status", "skip"} <= set(completed("ferry_console", "ferry", "s"))
    assert completed("ferry_console", "ferry", "status", "--wa") == ["--watch"]
    assert completed("ferry_console", "ferry", "in-flight", "list", "--state", "r") == ["retrying", "running"]


def test_verbs_of_the_console() -> None:
    """Below their command, with options of their own."""
    assert completed("ferry_console", "ferry", "dead-letters", "") == ["list", "purge", "replay", "show"]
    assert completed("ferry_console", "ferry", "dead-letters", "purge", "--a") == ["--all", "--all-groups"]
    assert completed("ferry_console", "ferry", "drain", "--t") == ["--timeout"]
    assert completed("ferry_console", "ferry", "forget", "--") == ["--dry-run", "--force", "--help", "--json", "--yes"]


def test_a_folder_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders only."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert completed("ferry_console", "ferry", "up", "--data", "ke") == ["kept"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
@pytest.mark.parametrize(("module", "command"), [("ferry_producer", "ferry-producer"), ("ferry_console", "ferry")])
def test_other_shells(shell: str, module: str, command: str) -> None:
    """A script that is about the command."""
    arguments = [sys.executable, "-m", module, "--print-completion", shell]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert command in done.stdout
    assert done.stderr == ""
