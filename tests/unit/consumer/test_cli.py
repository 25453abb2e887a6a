"""The consumer's command line."""

import subprocess
import sys

import pytest

from ferry_consumer import cli

#: In a process of its own: it sets up logging and signal handlers.
BROKEN = """
import sys
from ferry_consumer import cli, service

class BrokenConsumer:
    def __init__(self, *_): pass
    def stop(self): pass
    def run(self): raise ZeroDivisionError("nobody thought of this")

service.Consumer = BrokenConsumer
sys.exit(cli.main(["run"]))
"""


def test_what_nobody_thought_of_stops_it_loudly() -> None:
    """Exit code 1, a sentence and the traceback."""
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "stopped by something unexpected" in done.stdout
    assert "ZeroDivisionError: nobody thought of this" in done.stdout


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """And exits with 0."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    assert "ferry-consumer run" in capsys.readouterr().out


def test_no_command_is_wrong_usage() -> None:
    """Exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([])
    assert stopped.value.code == 2
