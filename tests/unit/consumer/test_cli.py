"""The consumer's command line."""

from typing import Any

import pytest

from ferry_consumer import cli, service


class BrokenConsumer:
    """A consumer that meets what nobody thought of."""

    def __init__(self, *_: Any) -> None:
        """Take whatever the real one takes."""

    def stop(self) -> None:
        """Nothing to stop."""

    def run(self) -> None:
        """Meet it."""
        raise ZeroDivisionError("nobody thought of this")


def test_what_nobody_thought_of_stops_it_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, a sentence and the traceback."""
    monkeypatch.setattr(service, "Consumer", BrokenConsumer)
    assert cli.main(["run"]) == 1
    told = capsys.readouterr().out
    assert "stopped by something unexpected" in told
    assert "ZeroDivisionError: nobody thought of this" in told


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
