"""One log out of several: prefixes, colours, and lines that are complete."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.local.log_lines import COLOURS, FollowedLog, colour_wanted, prefixed


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.mark.parametrize("component", COLOURS)
def test_prefixes_line_up(component: str) -> None:
    """Each component's lines begin in the same column, coloured or not."""
    assert prefixed(component, "text", coloured=False) == f"{component:<8} | text"
    assert prefixed(component, "text", coloured=True).endswith("m" + f"{component:<8}" + "\x1b[0m | text")


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (io.StringIO(), {}, False),
    ],
    ids=["terminal", "NO_COLOR empty", "NO_COLOR", "pipe"],
)
def test_colour(stream: io.StringIO, environment: dict[str, str], wanted: bool) -> None:
    """Colour is for terminals, and NO_COLOR turns it off when it isn't empty."""
    assert colour_wanted(stream, environment) is wanted


@given(pieces=st.lists(st.binary(max_size=20).map(lambda piece: piece.replace(b"x", b"\n"))))
def test_lines_come_once_and_complete(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    """However a log grows, its completed lines come once, in order."""
    path = tmp_path_factory.mktemp("log") / "log"
    log = FollowedLog(path)
    found: list[str] = []
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        found += log.new_lines()
    complete = b"".join(pieces).split(b"\n")[:-1]
    assert found == [line.decode(errors="replace") for line in complete]


def test_what_was_there_before_does_not_count(tmp_path: Path) -> None:
    """Following begins at the end, unless the start is asked for."""
    path = tmp_path / "log"
    path.write_text("old\n")
    ended, started = FollowedLog(path), FollowedLog(path, from_start=True)
    with path.open("a") as file:
        file.write("new\n")
    assert list(ended.new_lines()) == ["new"]
    assert list(started.new_lines()) == ["old", "new"]
