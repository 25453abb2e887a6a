"""What is done again and again beside a run."""

import threading

import pytest

from tests.chaos.repeatedly import repeatedly


def test_it_goes_on_until_the_end_and_not_beyond() -> None:
    """From a thread of its own, which is gone then, also when the run fails."""
    calls: list[str] = []
    third = threading.Event()

    def act() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) >= 3:
            third.set()

    def run_that_fails() -> None:
        with repeatedly("sampler", 0.001, act):
            assert third.wait(10.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_that_fails()

    assert set(calls) == {"sampler"}
    assert "sampler" not in {thread.name for thread in threading.enumerate()}
