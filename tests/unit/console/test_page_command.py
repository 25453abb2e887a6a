"""The command line of `ferry console`, as far as it serves nothing."""

import socket
from pathlib import Path

import pytest

from ferry_console.cli import main
from ferry_console.page.command import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_addresses_of_this_machine_alone(host: str) -> None:
    """Nobody else reaches them."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.invalid", "127.0.0.1.example", "1"])  # noqa: S104
def test_addresses_that_others_reach(host: str) -> None:
    """They, and what may be one, need a token."""
    assert not is_loopback(host)


@pytest.mark.parametrize("text", ["", "short", "with spaces in the middle", "sixteen-or-more;", "x" * 257])
def test_what_is_no_token_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, by the option's name, without what stood there."""
    file = tmp_path / "token"
    file.write_text(text)
    assert main(["console", "--token-file", str(file)]) == 2
    told = capsys.readouterr().err
    assert "--token-file: expected a token of 16 to 256" in told
    assert not text or text not in told


def test_a_token_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert main(["console", "--token-file", str(tmp_path / "nothing")]) == 2
    assert "--token-file: expected a file that can be read" in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the options that say where."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["console", "--port", str(taken.getsockname()[1])]) == 2
    told = capsys.readouterr().err
    assert told.startswith("ferry: can't listen on 127.0.0.1, port ")
    assert "--host and --port say where" in told


def test_an_address_of_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert main(["console", "--host", "192.0.2.1", "--port", "0"]) == 2
    assert "can't listen on 192.0.2.1" in capsys.readouterr().err
