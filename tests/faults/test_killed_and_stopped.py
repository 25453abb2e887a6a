"""kill -9 and SIGSTOP of consumers and workers while they work."""

import re
import time
from collections import Counter

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, Place, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.group_admin import group_members
from tests.support.kafka_records import create_topic
from tests.support.processes_of import children_of, continue_process, is_alive, kill_process, stop_process, stopped
from tests.support.with_batches import WITH_BATCHES

#: The shortest that Ferry and the broker allow.
SHORT_SESSION = {"CONSUMER_SESSION_TIMEOUT_MS": "6000"}
#: Hard limit 3 s, claim 8 s, visibility timeout 13 s.
SHORT_LIMITS = {
    "WORKER_TASK_TIME_LIMIT_SECONDS": "3",
    "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": "3",
    "WORKER_LEASE_MARGIN_SECONDS": "5",
}
VISIBILITY_TIMEOUT_SECONDS = 13.0


def test_a_stopped_consumer_that_goes_on_dispatches_nothing(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Its successor has the partition by then: the zombie's calls carry the older epoch, and are refused."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.produce(acts(10_000))
    slow = {"CONSUMER_INTAKE_MAX_MESSAGES": "1", "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": "100000", **SHORT_SESSION}
    zombie = acting.consumer("zombie", slow)
    zombie.wait_for_text("dispatched")
    with stopped(zombie.pid):
        before = acting.queued()
        assert 0 < before < 10_000, "it was to be stopped while dispatching"
        successor = acting.consumer("successor", slow)
        successor.wait_for_text(rf"{topic}-0: from offset {before} \(continued from the ledger")
        assert group_members(kafka.bootstrap_servers, acting.group) == 1
    # Thrown out, it joins again as another member.
    eventually(lambda: group_members(kafka.bootstrap_servers, acting.group), 2)
    eventually(acting.queued, 10_000, timeout_seconds=60)
    assert set(acting.queued_ids().values()) == {1}
    # The last line comes after what it tells.
    eventually(lambda: (dispatched_by(zombie), dispatched_by(successor)), (before, 10_000 - before))


def dispatched_by(consumer: FerryProcess) -> int:
    """How many messages a consumer says that it has dispatched."""
    return sum(map(int, re.findall(r"dispatched ([0-9]+) in", consumer.output())))


def test_a_stopped_child_goes_on_within_its_limit(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """A pause shorter than the hard limit changes nothing."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer()
    acting.worker()
    acting.produce([*acts(1, "wait"), *acts(50, first=1)])
    eventually(lambda: acting.started()[Place(0, 0)], 1)
    with stopped(acting.process_of(Place(0, 0))):
        assert acting.in_flight() > 0
        acting.release()
        time.sleep(1)
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(51)))


def test_a_stopped_child_is_killed_at_its_hard_limit(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """It can't end itself: the parent kills it, its message is a dead letter, its neighbours run once.

    In a batch it has another chance, by itself.
    """
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer()
    acting.worker(settings=SHORT_LIMITS)
    acting.produce([*acts(1, "wait"), *acts(50, first=1)])
    eventually(lambda: acting.started()[Place(0, 0)], 1)
    child = acting.process_of(Place(0, 0))
    stop_process(child)
    eventually(lambda: is_alive(child), expected=False, timeout_seconds=30)
    acting.release()
    acting.settle()
    if WITH_BATCHES:
        acting.assert_accounted()
        assert acting.started() == Counter(places(range(51))) + Counter({Place(0, 0): 1})
        return
    acting.assert_accounted(dead=places([0]))
    (letter,) = acting.dead_letters()
    assert (letter.place, letter.headers["ferry.reason"]) == (Place(0, 0), "TimeLimitExceeded")
    assert acting.started() == Counter(places(range(51)))


def test_a_killed_child_runs_again_and_its_neighbours_once(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """As the kernel's out-of-memory killer does it: only the task that ran in it is repeated."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer()
    worker = acting.worker()
    acting.produce([*acts(1, "wait"), *acts(100, first=1)])
    eventually(lambda: acting.started()[Place(0, 0)], 1)
    child = acting.process_of(Place(0, 0))
    assert child in children_of(worker.pid)
    kill_process(child)
    eventually(lambda: acting.started()[Place(0, 0)], 2)
    acting.release()
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(101))) + Counter({Place(0, 0): 1})


@pytest.mark.parametrize("whole", [True, False], ids=["with its processes", "the parent alone"])
def test_a_worker_stopped_beyond_the_visibility_timeout_repeats_only_what_it_held(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, whole: bool
) -> None:
    """Another one runs what it had reserved; when it goes on, its own copies are gone, and nothing runs a second time.

    The task that it was running meanwhile is the exception that the promises name.
    """
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer()
    zombie = acting.worker(name="zombie", processes=1, settings=SHORT_LIMITS)
    acting.produce([*acts(1, "wait"), *acts(30, first=1)])
    eventually(lambda: acting.started()[Place(0, 0)], 1)
    held = [zombie.pid, *(children_of(zombie.pid) if whole else ())]
    for pid in held:
        stop_process(pid)
    assert acting.in_flight() > 0
    # Beyond half of the soft limit: the rest of a batch goes on one by one.
    time.sleep(2)
    acting.release()
    stopped_at = time.monotonic()
    acting.worker(name="other", settings=SHORT_LIMITS)
    eventually(lambda: set(acting.done()), places(range(31)), timeout_seconds=VISIBILITY_TIMEOUT_SECONDS + 30)
    taken = time.monotonic() - stopped_at
    print(f"a stopped worker's tasks had run again after {taken:.1f} s")
    assert taken < VISIBILITY_TIMEOUT_SECONDS + 10
    for pid in held:
        continue_process(pid)
    acting.settle()
    acting.assert_accounted(repeated=places([0]))
    assert acting.started() <= Counter(places(range(31))) + Counter({Place(0, 0): 1})
    # Of a batch it tells that instead.
    zombie.wait_for_text("not run: it is done, failed or cleared already|was not recorded|one by one")
    assert acting.started()[Place(0, 0)] == (2 if whole else 1)
