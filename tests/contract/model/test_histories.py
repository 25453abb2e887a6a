"""Histories by name: what the model once found, and what it must be able to tell from a fault."""

from collections.abc import Iterator

import pytest

from ferry_shared.record import TopicPartition
from tests.contract.model.actor import Fate
from tests.contract.model.oracle import MAX_STARTS, Broken
from tests.contract.model.simulated_log import TOPIC, Kind
from tests.contract.model.system import SESSION_MS, VISIBILITY_MS, Server, System

PLACE = TopicPartition(TOPIC, 0)


@pytest.fixture
def system(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """Everything runs, nothing has happened."""
    system = System(Server(redis_url, monkeypatch))
    yield system
    system.close()


def go_until(system: System, name: str, pending: str) -> None:
    """Let a process go on until it stands before a call."""
    for _ in range(500):
        if pending in system.actors[name].pending:
            return
        system.go(name, 1)
    pytest.fail(f"{name} never came to {pending}")


def test_every_kind_of_record_ends(system: System) -> None:
    """Without any fault each runs as often as it must, and the failed ones are dead letters, in both groups."""
    for kind in Kind:
        system.produce(0, kind, 0)
    system.drain()
    crashes, retries, ok_fails_long = 3, 2, 3
    assert (system.oracle.runs, system.oracle.letters) == (2 * (ok_fails_long + retries + crashes), 2 * 3)
    assert system.coordinators["ferry"].committed[PLACE].offset == len(Kind)


def test_redis_goes_back_to_before_a_rewind(system: System) -> None:
    """The rewind still counts: Kafka's commit is younger than the ledger."""
    for _ in range(3):
        system.produce(0, Kind.OK, 0)
    system.drain()
    system.snapshot()
    system.operator_sets("ferry", 0, 0, zombies=False)
    while not system.coordinators["ferry"].committed[PLACE].metadata:
        system.go("consumer A", 1)
    system.restore(0)
    system.drain()
    assert system.oracle.runs == 3 + 3 + 3


@pytest.mark.parametrize("recreated", [False, True])
def test_a_lower_start_counts_though_its_signing_failed(system: System, recreated: bool) -> None:
    """A log is found truncated or a topic new, but that is not signed; then the log grows beyond the commit."""
    for _ in range(4):
        system.produce(0, Kind.OK, 0)
    system.drain()
    if recreated:
        system.recreate(commits_stay=True)
    else:
        system.truncate(0, 3)
    for name in ("consumer A", "consumer B", "consumer C"):
        system.kill(name)
    system.clock.advance(SESSION_MS)
    for name in ("consumer A", "consumer C"):
        go_until(system, name, "acquire")
        system.go(name, 1, Fate.KILLED_AFTER)
    system.clock.advance(SESSION_MS)
    for _ in range(6):
        system.produce(0, Kind.OK, 0)
    system.drain()
    assert system.oracle.runs == 2 * (4 + 6)


def test_a_consumer_that_stood_still_during_a_rewind_overtakes_nobody(system: System) -> None:
    """It has read the commits, is given up, and goes on after its successor has honoured the operator's offset."""
    for _ in range(3):
        system.produce(0, Kind.OK, 0)
    system.drain()
    system.flush()
    go_until(system, "consumer A", "OffsetCommit")
    system.go("consumer A", 1)
    system.operator_sets("ferry", 0, 0, zombies=True)
    system.members["consumer B"].polls_until_noticed = 0
    go_until(system, "consumer B", "dispatch")
    system.go("consumer B", 1)
    system.drain()


def test_a_worker_that_dies_before_it_has_recorded_a_message(system: System) -> None:
    """kombu's gap: the copy is in nobody's keys, and is queued again."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "hold")
    system.go("worker 1", 1, Fate.KILLED_BEFORE)
    system.drain()
    assert system.oracle.pushes == 2 + 1


def test_a_message_that_vanishes_when_kafka_has_deleted_its_record(system: System) -> None:
    """Nobody has it any more, and it still ends: as a dead letter that says so."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "hold")
    system.go("worker 1", 1, Fate.KILLED_BEFORE)
    system.cut(0, 1)
    system.drain()
    assert (system.oracle.runs, system.oracle.letters) == (0, 1)


def test_a_worker_that_wakes_with_a_copy_that_was_replaced(system: System) -> None:
    """It stood in kombu's gap until it passed for lost; another worker is at the task with the new copy."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "hold")
    for _ in range(12):
        system.clock.advance(1_000)
        for _ in range(12):
            system.go("consumer A", 1)
    go_until(system, "worker 2", "work")
    system.go("worker 1", 4)
    assert system.oracle.runs == 1
    system.drain()
    assert system.oracle.runs == 1 + 1


def test_a_copy_of_a_record_that_a_truncation_took_does_not_stand_for_the_next_one(system: System) -> None:
    """Same offset, another record: the old copy, still queued, is stale."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    system.truncate(0, 1)
    for name in ("consumer A", "consumer B"):
        system.kill(name)
    system.clock.advance(SESSION_MS)
    go_until(system, "consumer A", "acquire")
    system.go("consumer A", 2)
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    assert len(system.transport.look()) == 2
    system.drain()


def test_a_worker_that_has_lost_its_claim_says_nothing_more(system: System) -> None:
    """It fails after its lease has ended and another worker has begun: that one's outcome counts."""
    system.produce(0, Kind.FAILS, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "work")
    system.clock.advance(VISIBILITY_MS)
    system.restore_invisible()
    go_until(system, "worker 2", "work")
    go_until(system, "worker 1", "fail")
    system.go("worker 1", 1)
    system.drain()


def test_an_old_dead_letter_ends_no_new_entry(system: System) -> None:
    """Its acknowledgement comes after a rewind: the record that failed before runs again, and fails again."""
    system.produce(0, Kind.FAILS, 0)
    system.kill("consumer B")
    system.clock.advance(SESSION_MS)
    for name, call in (("consumer A", "dispatch"), ("worker 1", "fail"), ("consumer A", "Produce")):
        go_until(system, name, call)
        system.go(name, 1)
    system.operator_sets("ferry", 0, 0, zombies=True)
    system.members["consumer A"].polls_until_noticed = 0
    system.drain()
    assert (system.oracle.runs, system.oracle.letters) == (2 + 1, 2 + 1)


def test_copies_from_before_a_rewind_are_stale(system: System) -> None:
    """They lie in the queue before those that the rewind brings, and don't run."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    system.operator_sets("ferry", 0, 0, zombies=False)
    system.clock.advance(SESSION_MS)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    assert len(system.transport.look()) == 2
    system.drain()
    assert system.oracle.runs == 1 + 1


def test_a_long_queue_is_not_queued_again(system: System) -> None:
    """Nobody works for a minute; then a worker takes its time between taking a message and recording that."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    for _ in range(60):
        system.clock.advance(1_000)
        system.go("consumer A", 8)
    go_until(system, "worker 1", "hold")
    for _ in range(3):
        system.clock.advance(1_000)
        system.go("consumer A", 8)
    assert system.oracle.pushes == 1
    system.drain()
    assert system.oracle.pushes == 1 + 1


@pytest.mark.parametrize("busy", [False, True])
def test_redis_goes_back_to_before_a_dispatch(system: System, busy: bool) -> None:
    """Same owner, same epoch, another position: noticed while idle, and by the next dispatch."""
    go_until(system, "consumer A", "snapshot")
    system.snapshot()
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    if busy:
        system.produce(0, Kind.OK, 0)
        go_until(system, "consumer A", "dispatch")
    system.restore(0)
    system.drain()
    assert system.oracle.runs == 2 * (1 + busy)


def test_an_entry_stays_until_its_dead_letter_is_written(system: System) -> None:
    """Kafka does not take it at first."""
    system.produce(0, Kind.INVALID, 0)
    go_until(system, "consumer A", "Produce")
    system.go("consumer A", 1, Fate.NO_EFFECT)
    system.drain()
    assert system.oracle.letters == 2


def test_a_dispatch_whose_reply_is_lost_is_not_repeated(system: System) -> None:
    """It is sent again, and found to have happened."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1, Fate.REPLY_LOST)
    system.drain()
    assert system.oracle.pushes == 2


def test_a_copy_of_what_is_done_does_not_run(system: System) -> None:
    """Its worker died between recording the end and acknowledging the message, which comes back."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "acknowledge")
    system.go("worker 1", 1, Fate.KILLED_BEFORE)
    (tag,) = system.transport.held()
    system.transport.restore(tag)
    go_until(system, "worker 2", "acknowledge")
    assert system.oracle.runs == 1
    system.drain()
    assert system.oracle.runs == 2


def test_a_copy_that_comes_back_while_its_task_runs_does_not_run(system: System) -> None:
    """The transport has handed it out twice; the claim still holds."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "work")
    (tag,) = system.transport.held()
    system.transport.restore(tag)
    for _ in range(20):
        system.go("worker 2", 1)
    assert system.oracle.runs == 1
    system.drain()
    assert system.oracle.runs == 2


def test_what_was_done_and_not_committed_runs_again_after_a_loss(system: System) -> None:
    """Nothing but the ledger knew that it was done; the commit waits for its second end."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "acknowledge")
    system.flush()
    for _ in range(20):
        system.clock.advance(100)
        system.go("consumer A", 8)
    assert (system.oracle.pushes, system.coordinators["ferry"].committed[PLACE].offset) == (2, 0)
    system.drain()
    assert system.oracle.runs == 2 + 1


def test_redis_goes_back_to_before_a_loss_and_an_operators_offset(system: System) -> None:
    """The ledger that was made in between is the younger one, though nobody knew the epochs before it."""
    for _ in range(3):
        system.produce(0, Kind.OK, 0)
    system.drain()
    system.operator_sets("ferry", 0, 0, zombies=False)
    system.drain()
    system.snapshot()
    system.flush()
    system.operator_sets("ferry", 0, 2, zombies=False)
    for _ in range(3):
        system.produce(0, Kind.OK, 0)
    system.drain()
    system.restore(0)
    system.drain()
    assert system.coordinators["ferry"].committed[PLACE].offset == 6


def test_what_a_consumer_queues_below_an_operators_offset_need_not_run(system: System) -> None:
    """It was done; Redis lost it, and the consumer has not heard of the offset yet."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    go_until(system, "worker 1", "acknowledge")
    system.flush()
    go_until(system, "consumer A", "dispatch")
    system.operator_sets("ferry", 0, 1, zombies=True)
    system.go("consumer A", 1)
    assert system.oracle.pushes == 2
    system.drain()
    assert system.coordinators["ferry"].committed[PLACE].offset == 1


def test_a_consumer_that_stood_still_writes_its_dead_letter_last(system: System) -> None:
    """Another one has taken the partition over and written it, and had looked later than this one."""
    system.produce(0, Kind.INVALID, 0)
    go_until(system, "consumer A", "Produce")
    system.stand_still("consumer A", 30, 80, 0)
    of_both_groups = system.oracle.letters
    system.drain()
    assert (of_both_groups, system.oracle.letters) == (2, 3)


def test_redis_goes_back_to_before_a_crash(system: System) -> None:
    """It doesn't know of the starts since then: as many may follow, and no more."""
    system.produce(0, Kind.CRASHES, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    system.snapshot()
    for _ in range(500):
        if system.oracle.runs == MAX_STARTS:
            break
        system.go("worker 1", 1)
        system.clock.advance(10)
    system.restore(0)
    system.drain()
    other_group = MAX_STARTS
    assert system.oracle.runs == MAX_STARTS + MAX_STARTS + other_group


def test_a_message_that_is_put_into_the_queue_twice_is_noticed(system: System) -> None:
    """The oracle is no ornament: a second copy that nothing explains breaks the promise."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    copy = next(iter(system.transport.look()))
    system.transport.server.lpush("celery", copy)
    system.produce(0, Kind.OK, 0)
    with pytest.raises(Broken, match="DISPATCH"):
        system.drain()


def test_a_message_that_nobody_has_queued_is_noticed_by_its_taker(system: System) -> None:
    """Only consumers put messages into the queue, and each of their calls is looked at."""
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    system.transport.server.lpush("celery", next(iter(system.transport.look())))
    go_until(system, "worker 1", "BRPOP")
    with pytest.raises(AssertionError, match="a change that nobody has made"):
        system.go("worker 1", 1)


def test_a_record_that_nobody_runs_is_noticed(system: System) -> None:
    """A commit that passes over a record which has not ended breaks the promise."""
    system.produce(0, Kind.OK, 0)
    system.drain()
    system.oracle.operator_set("ferry", PLACE, 0)
    with pytest.raises(Broken, match="LOSS"):
        system.oracle.assert_nothing_lost()
