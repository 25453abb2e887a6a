"""Which worker holds which entry of the ledger, when it last heard so, and what it says of it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ferry_shared.ledger.keys import member_span
from tests.contract.model.virtual_time import VirtualTime

#: A group's partition.
Where = tuple[str, int]
#: The scripts by which a worker tells what became of an entry, and where the messages begin that go on by themselves.
OUTCOMES = {"done": None, "fail": None, "retry": None, "progress": 5, "split": 4}
_WORDS_A_SINGLE = 4


@dataclass
class Claim:
    """A worker's hold on an entry. `heard`: the event, and the time, at which the ledger last confirmed it."""

    owner: str
    lease_until_ms: int
    heard: int
    heard_ms: int


class Claims:
    """As the scripts have answered."""

    def __init__(self, clock: VirtualTime, moments: Iterator[int]) -> None:
        self._clock, self._moments = clock, moments
        self._of: dict[tuple[str, str], Claim] = {}
        self._holders: dict[tuple[Where, str], Claim] = {}
        self._starts: defaultdict[tuple[Where, str], dict[str, int]] = defaultdict(dict)

    def claimed(self, where: Where, worker: str, arguments: tuple[Any, ...], *, runs: bool) -> None:
        """A worker has got an entry, to run it or to say that it won't."""
        member, owner, lease_ms = str(arguments[1]), str(arguments[3]), int(arguments[4])
        claim = Claim(owner, self._clock.now_ms + lease_ms, next(self._moments), self._clock.now_ms)
        self._of[worker, owner] = self._holders[where, member] = claim
        if runs:
            self._starts[where, member].setdefault(owner, claim.heard)

    def confirmed(self, claim: Claim) -> None:
        """The ledger has taken its word."""
        claim.heard, claim.heard_ms = next(self._moments), self._clock.now_ms

    def of(self, worker: str, owner: str) -> Claim | None:
        """What a worker got by the owner's name that one receipt has."""
        return self._of.get((worker, owner))

    def holder(self, where: Where, member: str) -> Claim:
        """Who got an entry last."""
        return self._holders[where, member]

    def starts_since(self, where: Where, member: str, moment: int) -> int:
        """How often an entry was begun."""
        return sum(start > moment for start in self._starts[where, member].values())


@dataclass(frozen=True)
class Told:
    """What a worker has told of an entry: for the messages at the offsets `covered`, some of which are `retried`."""

    name: str
    member: str
    owner: str
    covered: range
    retried: frozenset[int]

    @classmethod
    def of(cls, name: str, arguments: tuple[Any, ...]) -> "Told":
        """Read a script's arguments."""
        member, owner = str(arguments[1]), str(arguments[3])
        first, last = member_span(member)
        retried = {first} if name == "retry" else set()
        if (begin := OUTCOMES[name]) is not None:
            singles = list(zip(*(arguments[begin + word :: _WORDS_A_SINGLE] for word in (0, 1)), strict=True))
            retried = {int(offset) for how, offset in singles if how == "retry"}
        if name == "progress" and arguments[4] != "all":
            last = int(arguments[4])
        return cls(name, member, owner, range(first, last + 1), frozenset(retried))
