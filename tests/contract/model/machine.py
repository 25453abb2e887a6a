"""Everything that can happen, for hypothesis to put into any order."""

from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.contract.model.actor import Fate
from tests.contract.model.simulated_log import Kind
from tests.contract.model.system import CONSUMERS, GROUPS, WORKERS, Server, System

PROCESSES = st.sampled_from([*CONSUMERS, *WORKERS])
FATES = st.sampled_from([fate for fate in Fate if fate is not Fate.WORKS])
KINDS = st.sampled_from([Kind.OK, Kind.OK, Kind.OK, *Kind])
#: What kind of record, behind how many offsets that hold none.
SHAPES = st.tuples(KINDS, st.sampled_from([0, 0, 0, 1, 3]))
PARTITIONS = st.sampled_from([0, 0, 1, 2])
#: Where a process is met: after some steps, or before a call of this kind if it comes to one soon.
CALLS = ["OffsetFetch", "OffsetCommit", "inspect", "acquire", "dispatch", "snapshot", "Produce", "clear", "enqueue"]
CALLS += ["redeliver", "committed", "BRPOP", "hold", "claim", "work", "done", "fail", "retry", "acknowledge"]
CALLS += ["progress", "split", "divide"]
MEETINGS = st.integers(0, 12) | st.sampled_from(CALLS)
#: How often a consumer that was given up polls before it hears of it.
POLLS = st.integers(0, 6)


class ProtocolMachine(RuleBasedStateMachine):
    """Drives one system."""

    server: Server
    batch_size: int

    def __init__(self) -> None:
        super().__init__()
        self.system = System(self.server, self.batch_size)
        for kind in [Kind.OK, Kind.RETRIES, Kind.OK]:
            self.system.produce(0, kind, 0)
        for _ in range(3):
            self.all_work(rounds=1)

    def teardown(self) -> None:
        """Heal, drain, count."""
        try:
            self.system.drain()
        finally:
            self.system.close()

    @rule(partition=PARTITIONS, shapes=st.lists(SHAPES, min_size=1, max_size=5))
    def produce(self, partition: int, shapes: list[tuple[Kind, int]]) -> None:
        """Records arrive."""
        for kind, gap in shapes:
            self.system.produce(partition, kind, gap)

    @rule(rounds=st.integers(1, 5))
    def all_work(self, rounds: int) -> None:
        """Everybody goes on for a while."""
        for _ in range(rounds):
            for name in [*CONSUMERS, *WORKERS]:
                self.system.go(name, 6)

    @rule(name=PROCESSES, steps=st.integers(1, 25))
    def one_works(self, name: str, steps: int) -> None:
        """One goes on, the others stand still."""
        self.system.go(name, steps)

    @rule(
        name=PROCESSES,
        meeting=MEETINGS,
        seconds=st.sampled_from([2, 6, 12, 24]),
        pace=st.sampled_from([3, 7, 80]),
        polls=POLLS,
    )
    def one_stands_still(self, name: str, meeting: int | str, seconds: int, pace: int, polls: int) -> None:
        """SIGSTOP anywhere; the others go on meanwhile, at most `pace` steps every two seconds."""
        self.system.meet(name, meeting)
        self.system.stand_still(name, seconds, pace, polls)

    @rule(name=PROCESSES, meeting=MEETINGS, fate=FATES, times=st.sampled_from([1, 1, 2, 6]))
    def one_is_hit(self, name: str, meeting: int | str, fate: Fate, times: int) -> None:
        """A call fails in some way, or is the last one."""
        self.system.meet(name, meeting)
        self.system.go(name, times, fate)

    @initialize(
        name=st.sampled_from([*WORKERS]),
        kinds=st.sampled_from([[Kind.OK, Kind.FAILS, Kind.OK], [Kind.LONG, Kind.OK], [Kind.RETRIES, Kind.CRASHES]]),
        call=st.sampled_from(["hold", "hold", "work", "progress", "split"]),
        fate=st.sampled_from([Fate.KILLED_BEFORE]) | FATES,
        seconds=st.sampled_from([14, 14, 0]),
    )
    def one_is_hit_at_work(self, name: str, kinds: list[Kind], call: str, fate: Fate, seconds: int) -> None:
        """There is something to do, and a worker fails in it; the others go on, long enough to find out or not."""
        self.produce(0, [(kind, 0) for kind in kinds])
        for consumer in CONSUMERS:
            self.system.meet(consumer, "dispatch")
            self.system.go(consumer, 1)
        self.system.meet(name, call)
        self.system.go(name, 1, fate)
        self.system.stand_still(name, seconds, 80, 0)

    @rule(milliseconds=st.sampled_from([100, 300, 1_100, 5_100, 10_100, 16_000, 70_000]))
    def time_passes(self, milliseconds: int) -> None:
        """Leases end, retries fall due."""
        self.system.clock.advance(milliseconds)

    @rule(name=PROCESSES)
    def one_is_stopped(self, name: str) -> None:
        """SIGTERM."""
        self.system.stop(name)

    @rule(name=st.sampled_from([*CONSUMERS]), polls=POLLS)
    def one_is_thought_dead(self, name: str, polls: int) -> None:
        """A session times out though the consumer lives."""
        self.system.think_dead(name, polls)

    @rule(order=st.integers(0, 5))
    def transport_restores(self, order: int) -> None:
        """kombu's sweep, after which messages may lie in another order than they were sent in."""
        self.system.restore_invisible()
        if order:
            self.system.transport.shuffle(lambda messages: Random(order).sample(messages, len(messages)))

    @rule()
    def redis_saves(self) -> None:
        """A snapshot."""
        self.system.snapshot()

    @rule(snapshot=st.none() | st.integers(0, 3))
    def redis_forgets(self, snapshot: int | None) -> None:
        """FLUSHALL, or a restart from a snapshot."""
        if snapshot is None or not self.system.snapshots:
            self.system.flush()
        else:
            self.system.restore(snapshot)

    @rule(partition=PARTITIONS, kept=st.integers(0, 12), count=st.integers(1, 4), from_the_end=st.booleans())
    def log_loses_records(self, partition: int, kept: int, count: int, from_the_end: bool) -> None:
        """Retention takes the oldest, an unclean leader election the newest."""
        if from_the_end:
            self.system.truncate(partition, count)
        else:
            self.system.cut(partition, kept)

    @rule(change=st.sampled_from(["recreated", "recreated, commits stay", "partition added"]))
    def topic_changes(self, change: str) -> None:
        """Same name, another topic; or it grows."""
        if change == "partition added":
            self.system.add_partition()
        else:
            self.system.recreate(commits_stay="stay" in change)

    @rule(group=st.sampled_from(GROUPS), partition=PARTITIONS, offset=st.integers(0, 12), zombies=st.booleans())
    def operator_sets(self, group: str, partition: int, offset: int, zombies: bool) -> None:
        """kafka-consumer-groups --reset-offsets."""
        self.system.operator_sets(group, partition, offset, zombies=zombies)

    @rule(group=st.sampled_from(GROUPS), partition=PARTITIONS, index=st.integers(0, 3))
    def operator_skips(self, group: str, partition: int, index: int) -> None:
        """`ferry skip`: a message, or a batch as a whole."""
        self.system.operator_skips(group, partition, index)


def run_model(server: Server, batch_size: int, **options: Any) -> None:
    """Let hypothesis look for an order of events that breaks a promise.

    Raises:
        AssertionError: it found one; the shortest is printed.
    """

    class MachineOnThisServer(ProtocolMachine):
        pass

    MachineOnThisServer.server, MachineOnThisServer.batch_size = server, batch_size
    run_state_machine_as_test(
        MachineOnThisServer,
        settings=settings(
            deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck), **options
        ),
    )
