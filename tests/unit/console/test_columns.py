"""Columns on a terminal and in a pipe, and what options take."""

import argparse
import io
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ferry_console.columns import columns, shortened, show
from ferry_console.option_values import MOST_ROWS, partition, rows, seconds

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
cell = st.text(max_size=9)


@given(cells=st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=5))
def test_columns_stand_under_each_other(cells: list[tuple[str, str, str]]) -> None:
    """Whatever stands in a cell, it is one line without controls, as wide as every other but for what ends it."""
    lines = columns([("a", "b", "c"), *cells], {"a"})
    assert len(lines) == len(cells) + 1
    assert not any(UNSAFE.search(line) for line in lines)
    ended = columns([("a", "b", "c"), *((*row[:2], f"{row[2]}|") for row in cells)], {"a"})[1:]
    assert len({cell_len(line) for line in ended}) == 1


@given(text=cell, characters=st.integers(1, 12))
def test_a_text_is_cut_with_a_mark(text: str, characters: int) -> None:
    """Only if it is longer; nothing in it acts on a terminal."""
    cut = shortened(text, characters)
    assert not UNSAFE.search(cut)
    assert len(cut) <= characters + 1
    assert cut.endswith("…") or len(cut) <= characters


class Terminal(io.StringIO):
    """Standard output of a person."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_on_a_terminal_a_line_is_cut_and_in_a_pipe_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows stay rows: a terminal would wrap what is too long; [words] are no markup."""
    lines = ["task  error", f"[red]1  {'x' * 200}"]
    show(lines)
    assert capsys.readouterr().out.splitlines() == lines
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show(lines)
    shown = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in terminal.getvalue().splitlines()]
    assert shown == ["task  error", f"[red]1  {'x' * 31}…"]


@pytest.mark.parametrize("text", ["0", "-1", "10001", "1_0", "+5", "\u0665", "", "1.5", "9" * 5_000])
def test_what_is_no_number_of_rows(text: str) -> None:
    """Nor anything that int() would take besides."""
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number, from 1 to 10,000"):
        rows(text)


@given(number=st.integers(1, MOST_ROWS))
def test_numbers_are_read(number: int) -> None:
    """Rows and partitions; partition 0 is one."""
    assert rows(str(number)) == partition(str(number)) == number
    assert partition("0") == 0


@pytest.mark.parametrize("text", ["0", "nan", "inf", "-1", "31536001"])
def test_what_is_no_duration(text: str) -> None:
    """From a tenth of a second to a year."""
    with pytest.raises(argparse.ArgumentTypeError, match="expected seconds"):
        seconds(text)
    assert seconds("0.5") == 0.5
