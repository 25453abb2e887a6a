"""Processes as threads that stop before each of their calls to a server, until the test lets them go on.

Only one of them runs at a time, and each call is one step: whatever order the test chooses is an order in which real
processes could have called. What becomes of a call is the test's choice too.
"""

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

ResultT = TypeVar("ResultT")


class Fate(StrEnum):
    """What becomes of one call."""

    WORKS = "works"
    NO_EFFECT = "the request is lost"
    REPLY_LOST = "it happens, the reply is lost"
    CUT = "of several commands sent at once only the first happen, the reply is lost"
    KILLED_BEFORE = "the process is killed before it"
    KILLED_AFTER = "the process is killed after it happened"
    CHILD_LOST_BEFORE = "the worker's child is lost before it"
    CHILD_LOST_AFTER = "the worker's child is lost after it happened"


class Killed(BaseException):
    """The process is gone: nothing of it may run any more."""


class ChildLost(BaseException):
    """A worker's child is gone; its parent lives."""


class Crashed(AssertionError):
    """A process ended by an exception that nothing in the test asked for."""


_here = threading.local()


class Actor:
    """A simulated process. `pending` is the call before which it stands."""

    def __init__(self, name: str, main: Callable[[], None]) -> None:
        self.name = name
        self.pending = ""
        self.steps = 0
        self.in_child = False
        self.idle = False
        self.ended = False
        self._main = main
        self._fate = Fate.WORKS
        self._dying = False
        self._error: BaseException | None = None
        self._go, self._stopped = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._stopped.acquire()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()
        self._stopped.acquire()

    @staticmethod
    def current() -> "Actor":
        """The process that runs now."""
        actor: Actor = _here.actor
        return actor

    @staticmethod
    def is_any() -> bool:
        """Whether the caller is a simulated process."""
        return getattr(_here, "actor", None) is not None

    @property
    def is_dying(self) -> bool:
        """Whether it was killed: its threads may do nothing more either."""
        return self._dying

    def _live(self) -> None:
        _here.actor = self
        try:
            self._main()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            self._error = error
        self.ended = True
        self._stopped.release()

    def step(
        self,
        what: str,
        call: Callable[[], ResultT],
        lost: Callable[[], ResultT],
        cut: Callable[[], object] | None = None,
    ) -> ResultT:
        """Called by the process itself: stand before a call, then let happen what the test wants.

        `lost` gives or raises what the caller gets when there is no reply; `cut` does a part of the call.
        """
        if self._dying:
            raise Killed
        self.pending = what
        self._stopped.release()
        self._go.acquire()
        self.steps += 1
        fate = self._fate
        if fate in {Fate.CHILD_LOST_BEFORE, Fate.CHILD_LOST_AFTER} and not self.in_child:
            fate = Fate.WORKS
        if fate is Fate.KILLED_BEFORE:
            self._dying = True
            raise Killed
        if fate is Fate.CHILD_LOST_BEFORE:
            raise ChildLost
        if fate is Fate.NO_EFFECT:
            return lost()
        if fate is Fate.CUT and cut is not None:
            cut()
            return lost()
        result = call()
        if fate is Fate.KILLED_AFTER:
            self._dying = True
            raise Killed
        if fate is Fate.CHILD_LOST_AFTER:
            raise ChildLost
        return lost() if fate in {Fate.REPLY_LOST, Fate.CUT} else result

    def run(self, fate: Fate = Fate.WORKS) -> None:
        """Called by the test: let the call happen before which the process stands, and run up to the next one.

        Raises:
            AssertionError: what the process did broke a promise, or it crashed.
        """
        if self.ended:
            return
        self._fate = fate
        self._go.release()
        self._stopped.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            if isinstance(error, AssertionError):
                raise error
            raise Crashed(f"{self.name} crashed at {self.pending!r}: {error!r}") from error

    def kill(self) -> None:
        """End it where it stands."""
        while not self.ended:
            self._dying = True
            self.run(Fate.KILLED_BEFORE)
        self._thread.join()
