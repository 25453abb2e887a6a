"""A worker is gone with what it had taken: when Redis gives it to another one."""

import time
from collections import Counter

import pytest
import redis

from ferry_worker.configuration import RESTORE_LOCK_SECONDS
from tests.support.eventually import eventually
from tests.support.fault_system import SOON_REDELIVERED, FaultSystem
from tests.support.short_limits import VISIBILITY_TIMEOUT_SECONDS

#: What the promise adds to the visibility timeout.
MARGIN_SECONDS = 10.0


def taken_by_a_worker_that_dies(system: FaultSystem) -> tuple[float, list[str]]:
    """Two tasks run and six are reserved in a worker that is killed; returns when, and the texts of the two."""
    system.consumer()
    dying = system.worker()
    system.hold_tasks()
    system.send(8)
    eventually(lambda: system.told("started").total(), 2)
    with system.server.client() as client:
        eventually(lambda: client.hlen("unacked"), 8)
    dying.kill()
    begun = list(system.told("started"))
    system.let_tasks_end()
    return time.monotonic(), begun


@pytest.mark.long
@pytest.mark.parametrize("mutex", [False, True], ids=["", "it held the sweep's lock"])
def test_a_dead_workers_tasks_run_in_time_where_nothing_else_happens(system: FaultSystem, mutex: bool) -> None:
    """The only other worker has an empty queue: what was reserved and what ran is done within timeout + 10 s."""
    killed, begun = taken_by_a_worker_that_dies(system)
    system.worker()
    if mutex:
        # The worst moment to die with the lock of the sweep: when the tasks have just become visible.
        time.sleep(max(0.0, killed + VISIBILITY_TIMEOUT_SECONDS - time.monotonic()))
        with system.server.client() as client:
            client.set("unacked_mutex", "of the dead worker", ex=RESTORE_LOCK_SECONDS)
    eventually(lambda: system.told("done").total(), 8, 60.0)
    assert time.monotonic() - killed < VISIBILITY_TIMEOUT_SECONDS + MARGIN_SECONDS
    system.wait_for_the_end()
    assert system.told("started") == Counter(system.texts) + Counter(begun)
    assert system.told("done") == Counter(system.texts)
    system.assert_each_queued_once()


def test_a_message_taken_and_forgotten_before_it_was_noted(system: FaultSystem) -> None:
    """kombu takes a message first and notes it as taken afterwards; who dies in between leaves it to nobody."""
    consumer = system.consumer(**SOON_REDELIVERED)
    system.send(1)
    system.wait_until_in_flight(1)
    with redis.Redis.from_url(system.server.url) as client:
        assert client.brpop(["celery"], timeout=10) is not None
        assert client.exists("celery", "unacked") == 0
    system.worker()
    consumer.wait_for_text("had vanished from the queue: queued again")
    system.wait_for_the_end()
    system.assert_each_ran_once()
    assert list(system.queued().values()) == [2]
