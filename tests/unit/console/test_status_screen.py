"""Drawing on a terminal, and a Ctrl-C in the middle of it."""

import io
import signal

import pytest
from rich.console import Console

from ferry_console.local.stop_signals import stop_signals
from ferry_console.status.screen import redrawn
from ferry_console.status.text import Page

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


class InterruptedConsole(Console):
    """Gets a Ctrl-C at the moment at which `armed` drawings have begun, and nothing of this one has been written."""

    armed = 0

    def _enter_buffer(self) -> None:
        super()._enter_buffer()
        self.armed -= 1
        if self.armed == 0:
            # To this thread: those of other libraries leave signals to it.
            signal.raise_signal(signal.SIGINT)


def fail() -> None:
    """There is one signal only."""
    raise AssertionError


@pytest.mark.parametrize("drawings", range(1, 6))
def test_the_cursor_comes_back_whenever_ctrl_c_comes(drawings: int) -> None:
    """Also in the middle of a drawing, of the first one as of a later one; the exception arrives all the same."""
    screen = io.StringIO()
    console = InterruptedConsole(file=screen, force_terminal=True, width=40, height=10)
    console.armed = drawings

    def draw_on_and_on() -> None:
        with stop_signals(fail), redrawn(console) as show:
            for number in range(100):
                show(Page((f"look {number}",)))

    with pytest.raises(KeyboardInterrupt):
        draw_on_and_on()
    assert screen.getvalue().count(HIDDEN) == screen.getvalue().count(SHOWN) == 1
    assert screen.getvalue().endswith(SHOWN)
