"""Random sequences of calls against a plain model: the ledger on a real server does what the specification says."""

from dataclasses import dataclass
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ferry_shared.ledger.consumer_ledger import Due
from ferry_shared.ledger.keys import batch_member, member_span
from ferry_shared.ledger.redelivery import Stranded, Transport
from ferry_shared.ledger.singles import FailedSingle, QueuedSingle, RetriedSingle, Single, divide
from tests.support.ledger_probe import MINUTE_MS, OTHER_OWNER, OWNER, LedgerProbe, message_count, payload_of

MAX_CLAIMS = 3
KINDS = ["single", "batch", "invalid", "delayed"]
OWNERS = st.sampled_from([OWNER, OTHER_OWNER])


@dataclass
class Entry:
    """What the model knows of an entry. Nothing here waits: a lease is live, or over at once."""

    epoch: int
    attempt: int = 1
    copy: int = 1
    claims: int = 0
    owner: str | None = None
    leased: bool = False
    failed: bool = False
    due: bool = False
    progress: int = -1

    @property
    def token(self) -> str:
        """The token of the present attempt."""
        return f"{self.epoch}.{self.attempt}"

    @property
    def needs_attention(self) -> bool:
        """Whether it must stand in `:attention`."""
        return self.failed or self.due or self.owner is not None

    def claimed(self, owner: str, *, live: bool, alone: bool) -> str:
        """What a claim with the right token says."""
        if self.failed:
            return "gone"
        if self.leased and self.owner != owner:
            return "busy"
        self.claims += self.owner != owner
        self.owner, self.leased = owner, live
        return "poison" if alone and self.claims > MAX_CLAIMS else "run"

    def refusal(self, owner: str) -> str | None:
        """What an outcome is told when it doesn't count."""
        if self.failed:
            return "gone"
        return None if self.owner == owner else "not-owner"

    def single(self, single: Single) -> "Entry":
        """The entry of one of its messages that goes on by itself."""
        match single:
            case QueuedSingle():
                return Entry(self.epoch, self.attempt + 1)
            case RetriedSingle():
                return Entry(self.epoch, self.attempt + 1, copy=0, due=True)
            case FailedSingle():
                return Entry(self.epoch, self.attempt, copy=0, claims=self.claims, failed=True)


class LedgerMachine(RuleBasedStateMachine):
    """Calls the scripts at random, and the model beside them."""

    def __init__(self, probe: LedgerProbe) -> None:
        super().__init__()
        self.probe = probe
        self.entries: dict[str, Entry] = {}
        self.queued: list[bytes] = []
        self.epoch = 1
        self.dead_letters = 0
        self.not_ended: set[int] = set()
        probe.own()

    def teardown(self) -> None:
        """Close the connection."""
        self.probe.client.close()

    def _pick(self, data: st.DataObject) -> tuple[str, Entry]:
        member = data.draw(st.sampled_from(sorted(self.entries, key=place_of)))
        return member, self.entries[member]

    def _pick_batch(self, data: st.DataObject) -> tuple[str, Entry, list[int]]:
        """A batch, and those of its messages of which its worker has recorded nothing."""
        member = data.draw(st.sampled_from(sorted(filter(is_batch, self.entries), key=place_of)))
        return member, self.entries[member], self._left_in(member)

    def _take_up(self, data: st.DataObject, member: str, entry: Entry, owner: str) -> None:
        """Mostly a worker has claimed what it speaks of."""
        if not entry.due and entry.owner != owner and data.draw(st.integers(0, 9)):
            self._claim(member, entry, owner, live=data.draw(st.booleans()))

    def _left_in(self, member: str) -> list[int]:
        first, last = member_span(member)
        return [offset for offset in range(first, last + 1) if offset > self.entries[member].progress]

    def _end(self, member: str) -> None:
        """All that is left in it has ended."""
        self.not_ended -= {*self._left_in(member)}
        del self.entries[member]

    def _go_on(self, batch: Entry, left: list[int], singles: list[Single]) -> None:
        """Of what was left in a batch these go on by themselves, the others are done."""
        for single in singles:
            if single.offset in left:
                self.entries[str(single.offset)] = batch.single(single)
                if isinstance(single, QueuedSingle):
                    self.queued.append(single.celery_message)
        self.not_ended -= {*left} - {single.offset for single in singles}

    @rule(shapes=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3)), max_size=5))
    def dispatch(self, shapes: list[tuple[str, int]]) -> None:
        """Dispatch singles, batches, invalid records, and messages whose time has just come, with gaps between."""
        offset, members, invalid, delayed = self.probe.position, [], {}, {}
        for kind, gap in shapes:
            first = offset + gap
            last = first + gap + 1 if kind == "batch" else first
            member = batch_member(range(first, last + 1)) if kind == "batch" else str(first)
            self.not_ended |= {*range(first, last + 1)}
            if kind == "invalid":
                invalid[member] = "not JSON"
            elif kind == "delayed":
                delayed[member] = self.probe.now_ms()
            else:
                members.append(member)
            entry = Entry(self.epoch, copy=int(member in members), failed=member in invalid, due=member in delayed)
            self.entries[member] = entry
            offset = last + 1
        self.queued += map(payload_of, members)
        assert self.probe.dispatch(members, invalid, delayed=delayed).entries == len(self.entries)

    @rule(drop=st.booleans())
    def acquire(self, drop: bool) -> None:
        """A rebalance, or a rewind."""
        self.epoch += 1
        acquired = self.probe.own(self.probe.position, committed=0, drop=drop)
        if drop:
            assert acquired.dropped == len(self.entries)
            self.entries.clear()
            self.not_ended.clear()
        assert (acquired.ownership.epoch, acquired.entries) == (self.epoch, len(self.entries))

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), owner=OWNERS, live=st.booleans())
    def claim(self, data: st.DataObject, owner: str, live: bool) -> None:
        """Claim with the present token; what waits is queued before anybody has its token."""
        member, entry = self._pick(data)
        if not entry.due:
            self._claim(member, entry, owner, live=live)

    def _claim(self, member: str, entry: Entry, owner: str, *, live: bool) -> None:
        claimed = self.probe.claim(member, entry.token, owner, lease_ms=MINUTE_MS if live else 0, max_claims=MAX_CLAIMS)
        assert claimed.verdict == entry.claimed(owner, live=live, alone=not is_batch(member))
        assert claimed.claims == entry.claims
        assert claimed.progress == (entry.progress if entry.progress >= 0 and claimed.verdict == "run" else None)

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), owner=OWNERS, name=st.sampled_from(["done", "fail", "retry", "release"]))
    def outcome(self, data: st.DataObject, owner: str, name: str) -> None:
        """Record an outcome, by the owner or by somebody else."""
        member, entry = self._pick(data)
        refusal = entry.refusal(owner)
        assert self.probe.outcome(name, member, entry.token, owner) == (refusal or "recorded")
        if refusal:
            return
        entry.owner, entry.leased = None, False
        if name == "done":
            self._end(member)
        elif name == "fail":
            entry.failed = True
        elif name == "retry":
            entry.attempt, entry.copy, entry.claims, entry.due = entry.attempt + 1, 0, 0, True

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), name=st.sampled_from(["claim", "done", "fail", "retry", "release"]), ahead=st.booleans())
    def stale(self, data: st.DataObject, name: str, ahead: bool) -> None:
        """A message of another attempt changes nothing."""
        member, entry = self._pick(data)
        token = f"{entry.epoch}.{entry.attempt + (1 if ahead else -1)}"
        if name == "claim":
            assert self.probe.claim(member, token).verdict == "stale"
        else:
            assert self.probe.outcome(name, member, token) == "stale"

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), behind=st.booleans())
    def enqueue(self, data: st.DataObject, behind: bool) -> None:
        """Queue the next copy; with a copy that moved on, under a live lease or after a failure nothing happens."""
        member, entry = self._pick(data)
        due = Due(member, entry.token, entry.copy - behind, 0, 0, None, entry.due, b"")
        expected = not (behind or entry.leased or entry.failed)
        assert self.probe.enqueue(due) is expected
        if expected:
            entry.copy, entry.due, entry.owner = entry.copy + 1, False, None
            self.queued.append(b"the next copy")

    @precondition(lambda self: any(entry.failed for entry in self.entries.values()))
    @rule(data=st.data(), right=st.booleans())
    def clear(self, data: st.DataObject, right: bool) -> None:
        """End a failed entry, with its token or with another one."""
        failed = sorted(member for member, entry in self.entries.items() if entry.failed)
        member = data.draw(st.sampled_from(failed))
        token = self.entries[member].token if right else f"{self.epoch}.99"
        assert self.probe.clear(member, token) is right
        if right:
            self.dead_letters += message_count(member)
            self._end(member)

    @precondition(lambda self: any(map(is_batch, self.entries)))
    @rule(data=st.data(), owner=OWNERS, times=st.integers(1, 2))
    def progress(self, data: st.DataObject, owner: str, times: int) -> None:
        """A worker says how far its batch is, or that it has ended; perhaps again, for it lost the reply."""
        member, entry, left = self._pick_batch(data)
        first, last = member_span(member)
        self._take_up(data, member, entry, owner)
        up_to = data.draw(st.integers(first, last) | st.integers(first, last) | st.none())
        within = range(first, (last if up_to is None else up_to) + 1)
        singles = data.draw(some_of(within, FailedSingle, RetriedSingle))
        refusal = entry.refusal(owner)
        task = self.probe.task(member, entry.token)
        for number in range(times):
            expected = "gone" if number and up_to is None and not refusal else "recorded"
            assert self.probe.worker.progress(task, owner, up_to, singles) == (refusal or expected)
        if refusal:
            return
        if up_to is None:
            del self.entries[member]
        self._go_on(entry, [offset for offset in left if offset in within], singles)
        entry.progress = max(entry.progress, last if up_to is None else up_to)

    @precondition(lambda self: any(map(is_batch, self.entries)))
    @rule(data=st.data(), owner=OWNERS, times=st.integers(1, 2))
    def split(self, data: st.DataObject, owner: str, times: int) -> None:
        """A worker lets go of its batch."""
        member, entry, left = self._pick_batch(data)
        first, last = member_span(member)
        self._take_up(data, member, entry, owner)
        singles = data.draw(some_of(range(first, last + 1), FailedSingle, RetriedSingle, QueuedSingle))
        refusal = entry.refusal(owner)
        task = self.probe.task(member, entry.token)
        for number in range(times):
            expected = "gone" if number and not refusal else "recorded"
            reply = self.probe.worker.split(task, owner, self.probe.queue, 0, singles)
            assert reply == (refusal or expected)
        if not refusal:
            del self.entries[member]
            self._go_on(entry, left, singles)

    @precondition(lambda self: any(map(is_batch, self.entries)))
    @rule(data=st.data(), failed=st.booleans(), behind=st.booleans(), times=st.integers(1, 2))
    def divide(self, data: st.DataObject, failed: bool, behind: bool, times: int) -> None:
        """The consumer ends a batch that has failed, or whose message is nowhere."""
        member, entry, left = self._pick_batch(data)
        first, last = member_span(member)
        kinds = (FailedSingle,) if failed else (FailedSingle, QueuedSingle)
        singles = data.draw(all_of(range(first, last + 1), *kinds))
        if data.draw(st.booleans()):
            self.lose_the_queue()
        vanished = not (self.queued or entry.due or entry.leased)
        happens = not behind and failed == entry.failed and (failed or vanished)
        found = Stranded(member, entry.token, entry.copy - behind, b"")
        for number in range(times):
            told = divide(
                self.probe.client, self.probe.keys, Transport(self.probe.queue, "unacked", "t-0-", ""),
                self.probe.ownership, found, age_ms=0, failed=failed, singles=singles,
            )  # fmt: skip
            assert told.outcome == (("gone" if number else "divided") if happens else "stale")
        if happens:
            del self.entries[member]
            self._go_on(entry, left, singles)

    def lose_the_queue(self) -> None:
        """Everything that waits vanishes."""
        self.probe.call("DEL", self.probe.queue)
        self.queued.clear()

    @rule()
    def commit(self) -> None:
        """Commit what the snapshot allows; no token that is still needed is trimmed."""
        snapshot = self.probe.snapshot()
        assert self.probe.committed(snapshot.position if snapshot.lowest is None else snapshot.lowest)

    @invariant()
    def counts_match(self) -> None:
        """The head's counts equal the entries, and those are the model's."""
        self.probe.assert_counts_match()
        assert self.probe.members() == sorted(self.entries, key=place_of)

    @invariant()
    def no_message_is_lost(self) -> None:
        """Each that has neither been done nor become a dead letter is in flight, in one entry."""
        in_flight = [offset for member in self.probe.members() for offset in self._left_in(member)]
        assert sorted(in_flight) == sorted(self.not_ended)

    @invariant()
    def nothing_lies_about(self) -> None:
        """State and attention are kept for entries only, and attention for exactly those that need it."""
        assert self.probe.members_with_state() <= self.entries.keys()
        assert self.probe.attention().keys() == {m for m, entry in self.entries.items() if entry.needs_attention}

    @invariant()
    def the_snapshot_tells_it(self) -> None:
        """A snapshot shows the model."""
        snapshot = self.probe.snapshot()
        lowest = min(map(int_prefix, self.entries), default=None)
        assert (snapshot.sound, snapshot.lowest, snapshot.dead_letters) == (True, lowest, self.dead_letters)
        assert {due.member for due in snapshot.due} == {m for m, e in self.entries.items() if e.failed or e.due}
        assert all(due.token == self.entries[due.member].token for due in snapshot.due)

    @invariant()
    def everything_was_queued_in_order(self) -> None:
        """The queue holds what was dispatched and enqueued, first come, first served."""
        assert self.probe.queued() == self.queued


def int_prefix(member: str) -> int:
    """The member's first offset."""
    return int(member.partition("-")[0])


def place_of(member: str) -> tuple[int, str]:
    """Where it stands among the others: a batch behind its first message."""
    return int_prefix(member), member


def is_batch(member: str) -> bool:
    """Whether it stands for several messages."""
    return "-" in member


def made(kind: type[Single], offset: int) -> Single:
    """A message that goes on by itself."""
    if kind is QueuedSingle:
        return QueuedSingle(offset, b"alone: %d" % offset)
    return FailedSingle(offset, "no", b"") if kind is FailedSingle else RetriedSingle(offset, 0, b"")


@st.composite
def all_of(draw: st.DrawFn, offsets: range, *kinds: type[Single]) -> list[Single]:
    """Each of the messages, one way or the other."""
    return [made(draw(st.sampled_from(kinds)), offset) for offset in offsets]


@st.composite
def some_of(draw: st.DrawFn, offsets: range, *kinds: type[Single]) -> list[Single]:
    """Some of the messages."""
    return [single for single in draw(all_of(offsets, *kinds)) if draw(st.booleans())]


def test_any_sequence_of_calls_does_what_the_model_does(redis_url: str, group: str) -> None:
    """Counts, state, attention and queue are the model's after every call of a random sequence."""
    numbers = count()

    class MachineOnThisServer(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(LedgerProbe(redis_url, group, f"topic-{next(numbers)}"))

    run_state_machine_as_test(
        MachineOnThisServer, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
