"""Signals: the first asks, the second urges."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from ferry_producer.stop import Stop, Stopped

HOUR_SECONDS = 3600.0


async def never() -> None:
    """Wait for nothing."""
    await asyncio.Event().wait()


async def value() -> int:
    """A result that is there."""
    return 5


async def test_work_is_done_while_nothing_is_asked() -> None:
    """Without a signal the work's result comes back, and its errors too."""
    stop = Stop(HOUR_SECONDS)
    assert await stop.unless_asked(value()) == 5
    assert not stop.asked
    with pytest.raises(ZeroDivisionError):
        await stop.unless_asked(failing())


async def failing() -> None:
    """Work that goes wrong."""
    raise ZeroDivisionError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_what_waits_for_input(number: signal.Signals) -> None:
    """The first signal cancels reading and is remembered; finishing goes on."""
    with Stop(HOUR_SECONDS) as stop:
        waiting = asyncio.create_task(stop.unless_asked(never()))
        finishing = asyncio.create_task(stop.unless_urged(never()))
        await asyncio.sleep(0)
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped):
            await waiting
        assert stop.signal is number
        assert not finishing.done()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            await finishing
        assert stop.signal is number


async def test_the_grace_ends() -> None:
    """After the first signal finishing has only so long."""
    stop = Stop(0.0)
    stop.ask(signal.SIGTERM)
    with pytest.raises(Stopped):
        await stop.unless_urged(never())


async def test_a_signal_wakes_a_sleeper() -> None:
    """The pause between two messages doesn't delay Ctrl-C."""
    stop = Stop(HOUR_SECONDS)
    sleeping = asyncio.create_task(stop.sleep(HOUR_SECONDS))
    await asyncio.sleep(0)
    stop.ask(signal.SIGINT)
    await sleeping


async def test_handlers_are_given_back() -> None:
    """Outside the block signals do what they did before."""
    with Stop(HOUR_SECONDS):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
