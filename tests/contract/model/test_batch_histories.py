"""Histories with batches, by name: what may run again with them, and what must not."""

from collections.abc import Iterator

import pytest

from tests.contract.model.actor import Fate
from tests.contract.model.simulated_log import Kind
from tests.contract.model.system import SESSION_MS, TASK_MS, VISIBILITY_MS, Server, System
from tests.contract.model.test_histories import PLACE, go_until

BATCH_SIZE = 3
#: How often the other group, to which nothing happens, runs and queues a batch.
OTHER_RUNS, OTHER_PUSHES = 3, 1


@pytest.fixture
def system(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """Everything runs, with batches; nothing has happened."""
    system = System(Server(redis_url, monkeypatch), BATCH_SIZE)
    yield system
    system.close()


def queue_batch(system: System, *kinds: Kind, gap: int = 0) -> None:
    """Of one group; the other group's consumer has done nothing yet."""
    for kind in kinds:
        system.produce(0, kind, gap)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    assert system.oracle.pushes == 1


def work(system: System, name: str, messages: int) -> None:
    """Let a worker run so many messages of a batch."""
    for _ in range(messages):
        go_until(system, name, "work")
        system.go(name, 1)


def seconds_pass(system: System, seconds: int) -> None:
    """Meanwhile the consumer looks for what has vanished."""
    for _ in range(seconds):
        system.clock.advance(1_000)
        system.go("consumer A", 12)


def go_until_divided_next(system: System) -> None:
    """The consumer has looked twice, has read the records, and is about to divide a batch."""
    for _ in range(500):
        system.go("consumer A", 1)
        if system.actors["consumer A"].pending == "divide":
            return
        system.clock.advance(100)
    pytest.fail("no batch was divided")


def lose_with_its_worker(system: System, name: str) -> None:
    """The worker dies, and the transport forgets what it held."""
    system.kill(name)
    for tag in system.transport.held():
        system.transport.acknowledge(tag)


@pytest.mark.parametrize(
    ("kinds", "runs", "letters"),
    [
        ([Kind.OK, Kind.OK, Kind.OK], 3, 0),
        ([Kind.FAILS, Kind.OK, Kind.RETRIES], 1 + 1 + 2, 1),
        ([Kind.OK, Kind.INVALID, Kind.OK], 2, 1),
        ([Kind.OK, Kind.LONG, Kind.OK], 3, 0),
        # With its batch it runs once, so does what ran before it and was not told; then alone, as often as it may.
        ([Kind.OK, Kind.CRASHES, Kind.OK], 2 + (1 + 3) + 1, 1),
    ],
    ids=["ok", "fails and retries", "invalid", "long", "crashes"],
)
def test_what_becomes_of_a_batch(system: System, kinds: list[Kind], runs: int, letters: int) -> None:
    """Without any fault each message runs as often as it must, and the failed ones are dead letters, in both groups."""
    for kind in kinds:
        system.produce(0, kind, 0)
    system.drain()
    assert (system.oracle.runs, system.oracle.letters) == (2 * runs, 2 * letters)
    assert system.coordinators["ferry"].committed[PLACE].offset == len(kinds)


def test_a_batch_that_runs_well_is_one_celery_message(system: System) -> None:
    """In both groups; nothing of it is queued again."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    system.drain()
    assert (system.oracle.pushes, system.oracle.runs) == (2, 6)


def test_a_killed_worker_repeats_what_it_had_not_told(system: System) -> None:
    """Two messages were covered by its progress; the third ran, and nobody knows."""
    assert TASK_MS < 50 <= 2 * TASK_MS
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    work(system, "worker 1", 3)
    system.kill("worker 1")
    system.clock.advance(VISIBILITY_MS)
    system.restore_invisible()
    system.drain()
    assert system.oracle.runs == (3 + 1) + OTHER_RUNS


def test_a_batch_whose_message_vanished_is_divided_above_its_progress(system: System) -> None:
    """The consumer queues one by one what its worker, killed in the third message, had not told."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    work(system, "worker 1", 2)
    go_until(system, "worker 1", "work")
    lose_with_its_worker(system, "worker 1")
    seconds_pass(system, 30)
    assert system.oracle.pushes == 1 + 1
    system.drain()
    assert system.oracle.runs == (3 + 1) + OTHER_RUNS


def test_a_batch_that_vanished_before_it_began_is_divided(system: System) -> None:
    """All of it goes on one by one."""
    queue_batch(system, Kind.OK, Kind.FAILS, Kind.OK)
    go_until(system, "worker 1", "hold")
    system.kill("worker 1")
    seconds_pass(system, 30)
    assert system.oracle.pushes == 1 + 3
    system.drain()
    assert (system.oracle.runs, system.oracle.letters) == (3 + OTHER_RUNS, 2)


def test_a_batch_that_is_claimed_again_above_its_progress(system: System) -> None:
    """Its worker was killed in the third message; the second worker is not told by whom, but up to where it ran."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    work(system, "worker 1", 2)
    go_until(system, "worker 1", "work")
    system.kill("worker 1")
    system.clock.advance(VISIBILITY_MS)
    system.restore_invisible()
    go_until(system, "worker 2", "split")
    system.go("worker 2", 1)
    assert system.oracle.pushes == 1 + 1


def test_a_batch_that_is_claimed_again_is_split(system: System) -> None:
    """Its worker is lost in the first message; none of the others is run with it again."""
    queue_batch(system, Kind.CRASHES, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "split")
    system.go("worker 1", 1)
    assert system.oracle.pushes == 1 + 3


def test_a_split_whose_reply_is_lost_is_not_repeated(system: System) -> None:
    """Meanwhile another worker runs what it has queued."""
    queue_batch(system, Kind.LONG, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "split")
    system.go("worker 1", 1, Fate.REPLY_LOST)
    for _ in range(2):
        go_until(system, "worker 2", "done")
        system.go("worker 2", 1)
    system.drain()
    assert (system.oracle.pushes, system.oracle.runs) == (1 + 2 + 3, 3 + OTHER_RUNS)


def test_a_worker_that_has_lost_its_batch_says_nothing_more(system: System) -> None:
    """It stands still until another one has the batch, and tells then how far it is."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    work(system, "worker 1", 2)
    go_until(system, "worker 1", "progress")
    system.clock.advance(VISIBILITY_MS)
    system.restore_invisible()
    go_until(system, "worker 2", "split")
    system.go("worker 1", 1)
    system.drain()
    assert system.oracle.runs == 2 + 3 + OTHER_RUNS


def test_a_worker_that_stood_still_begins_nothing_more(system: System) -> None:
    """The batch was divided meanwhile, and its messages run alone."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "work")
    for tag in system.transport.held():
        system.transport.acknowledge(tag)
    seconds_pass(system, 40)
    assert system.oracle.pushes == 1 + 3
    system.go("worker 1", 20)
    system.drain()
    assert system.oracle.runs == 1 + 3 + OTHER_RUNS


def test_a_batch_of_which_kafka_has_deleted_a_part(system: System) -> None:
    """Its message vanished: what is left runs, and where no gap can be meant the rest become dead letters."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "hold")
    system.kill("worker 1")
    system.kill("consumer C")
    system.cut(0, 2)
    seconds_pass(system, 30)
    system.drain()
    of_the_other_group = 1
    assert (system.oracle.runs, system.oracle.letters) == (1 + of_the_other_group, 2)


def test_a_batch_with_gaps_of_which_kafka_has_deleted_a_part(system: System) -> None:
    """Nobody can tell which offsets were records: they are counted as lost."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK, gap=1)
    go_until(system, "worker 1", "hold")
    system.kill("worker 1")
    system.kill("consumer C")
    system.cut(0, 4)
    seconds_pass(system, 30)
    system.drain()
    of_the_other_group = 1
    assert (system.oracle.runs, system.oracle.letters) == (1 + of_the_other_group, 0)


def test_a_worker_that_wakes_between_two_looks(system: System) -> None:
    """It stood in kombu's gap, and its batch passed for lost; at the second look it runs."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "hold")
    go_until_divided_next(system)
    go_until(system, "worker 1", "work")
    system.go("consumer A", 1)
    system.drain()
    assert (system.oracle.pushes, system.oracle.runs) == (1 + OTHER_PUSHES, 3 + OTHER_RUNS)


@pytest.mark.parametrize("ran", [0, 2])
def test_a_batch_that_is_given_up_fails_as_a_whole(system: System, ran: int) -> None:
    """What its worker had told is done, each of the others becomes a dead letter; the worker begins nothing more."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    if ran:
        work(system, "worker 1", ran)
        go_until(system, "worker 1", "work")
    system.operator_skips("ferry", 0, 0)
    system.drain()
    begun = ran + 1 if ran else 0
    assert (system.oracle.runs, system.oracle.letters) == (begun + OTHER_RUNS, 3 - ran)


def test_redis_goes_back_to_before_a_progress(system: System) -> None:
    """It has forgotten that a message failed; its worker goes on with the batch."""
    queue_batch(system, Kind.FAILS, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "work")
    system.snapshot()
    go_until(system, "worker 1", "progress")
    system.go("worker 1", 1)
    system.restore(0)
    system.drain()
    assert system.oracle.letters == 2


@pytest.mark.parametrize("grown_first", [True, False])
def test_a_log_that_is_truncated_inside_a_batch(system: System, grown_first: bool) -> None:
    """The offset of its last record is now another's, which runs once; the old one does not come back by itself."""
    queue_batch(system, Kind.LONG, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "split")
    system.truncate(0, 1)
    system.kill("consumer A")
    system.kill("consumer B")
    system.clock.advance(SESSION_MS)
    go_until(system, "consumer A", "acquire")
    system.go("consumer A", 2)
    if grown_first:
        system.produce(0, Kind.OK, 0)
        go_until(system, "consumer A", "dispatch")
        system.go("consumer A", 1)
        work(system, "worker 2", 1)
        go_until(system, "worker 2", "acknowledge")
    system.go("worker 1", 1)
    if not grown_first:
        system.produce(0, Kind.OK, 0)
    system.drain()
    assert system.oracle.runs == 3 + OTHER_RUNS


def test_a_batch_inside_which_the_log_was_truncated_vanishes(system: System) -> None:
    """The record that has taken the place of its last one has run: it is no part of the batch."""
    queue_batch(system, Kind.OK, Kind.OK, Kind.OK)
    go_until(system, "worker 1", "hold")
    system.kill("worker 1")
    system.truncate(0, 1)
    system.kill("consumer A")
    system.kill("consumer B")
    system.clock.advance(SESSION_MS)
    go_until(system, "consumer A", "acquire")
    system.go("consumer A", 2)
    system.produce(0, Kind.OK, 0)
    go_until(system, "consumer A", "dispatch")
    system.go("consumer A", 1)
    work(system, "worker 2", 1)
    go_until(system, "worker 2", "acknowledge")
    seconds_pass(system, 30)
    system.drain()
    assert system.oracle.runs == 3 + OTHER_RUNS
