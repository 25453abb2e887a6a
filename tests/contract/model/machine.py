"""Everything that can happen, for hypothesis to put into any order."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.contract.model.actor import Fate
from tests.contract.model.simulated_log import Kind
from tests.contract.model.system import CONSUMERS, GROUPS, WORKERS, Server, System

PROCESSES = st.sampled_from([*CONSUMERS, *WORKERS])
FATES = st.sampled_from([fate for fate in Fate if fate is not Fate.WORKS])
KINDS = st.sampled_from([Kind.OK, Kind.OK, Kind.OK, *Kind])
#: What kind of record, behind how many offsets that hold none.
SHAPES = st.tuples(KINDS, st.sampled_from([0, 0, 0, 1, 3]))
WAITS_MS = st.sampled_from([100, 300, 1_100, 5_100, 10_100, 16_000, 70_000])
PARTITIONS = st.integers(0, 2)


class ProtocolMachine(RuleBasedStateMachine):
    """Drives one system."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.system = System(self.server)

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
    def works(self, name: str, steps: int) -> None:
        """One goes on, the others stand still."""
        self.system.go(name, steps)

    @rule(name=PROCESSES, steps=st.integers(0, 12), fate=FATES, times=st.sampled_from([1, 1, 2, 6]))
    def is_hit(self, name: str, steps: int, fate: Fate, times: int) -> None:
        """A call fails in some way, or is the last one."""
        self.system.go(name, steps)
        self.system.go(name, times, fate)

    @rule(milliseconds=WAITS_MS)
    def time_passes(self, milliseconds: int) -> None:
        """Leases end, retries fall due."""
        self.system.clock.advance(milliseconds)

    @rule(name=PROCESSES)
    def is_stopped(self, name: str) -> None:
        """SIGTERM."""
        self.system.stop(name)

    @rule(name=st.sampled_from([*CONSUMERS]), polls=st.integers(0, 6))
    def is_thought_dead(self, name: str, polls: int) -> None:
        """A session times out though the consumer lives."""
        self.system.think_dead(name, polls)

    @rule()
    def redis_saves(self) -> None:
        """A snapshot."""
        self.system.snapshot()

    @precondition(lambda self: self.system.snapshots)
    @rule(index=st.integers(0, 9))
    def redis_goes_back(self, index: int) -> None:
        """A restart from a snapshot."""
        self.system.restore(index)

    @rule()
    def redis_is_flushed(self) -> None:
        """FLUSHALL."""
        self.system.flush()

    @rule(partition=PARTITIONS, offset=st.integers(1, 12))
    def retention_passes(self, partition: int, offset: int) -> None:
        """Kafka deletes the oldest records."""
        self.system.cut(partition, offset)

    @rule(partition=PARTITIONS, count=st.integers(1, 4))
    def log_is_truncated(self, partition: int, count: int) -> None:
        """An unclean leader election."""
        self.system.truncate(partition, count)

    @rule(commits_stay=st.booleans())
    def topic_is_recreated(self, commits_stay: bool) -> None:
        """Same name, another topic."""
        self.system.recreate(commits_stay=commits_stay)

    @precondition(lambda self: len(self.system.logs.partitions) < 3)
    @rule()
    def partition_is_added(self) -> None:
        """The topic grows."""
        self.system.add_partition()

    @rule(group=st.sampled_from(GROUPS), partition=PARTITIONS, offset=st.integers(0, 12), zombies=st.booleans())
    def operator_sets(self, group: str, partition: int, offset: int, zombies: bool) -> None:
        """kafka-consumer-groups --reset-offsets."""
        self.system.operator_sets(group, partition, offset, zombies=zombies)

    @rule(data=st.data())
    def queue_is_shuffled(self, data: st.DataObject) -> None:
        """Messages arrive in another order than they were sent in."""
        self.system.shuffle(lambda messages: data.draw(st.permutations(messages)))

    @rule()
    def transport_restores(self) -> None:
        """kombu's sweep."""
        self.system.restore_invisible()


def run_model(server: Server, **options: Any) -> None:
    """Let hypothesis look for an order of events that breaks a promise.

    Raises:
        AssertionError: it found one; the shortest is printed.
    """

    class MachineOnThisServer(ProtocolMachine):
        pass

    MachineOnThisServer.server = server
    run_state_machine_as_test(MachineOnThisServer, settings=settings(deadline=None, **options))
