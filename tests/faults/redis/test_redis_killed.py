"""kill -9 of Redis, with and without an append-only file, busy and idle."""

import time
from collections import Counter

import pytest
import redis

from tests.support.eventually import eventually
from tests.support.fault_system import SOON_REDELIVERED, FaultSystem, kill_redis
from tests.support.with_batches import celery_messages

BOTH = pytest.mark.parametrize("persistence", ["none", "append-only"])
#: Hard limit 300 s, visibility timeout 330 s.
DEFAULT_LIMITS = {
    "WORKER_TASK_TIME_LIMIT_SECONDS": "300",
    "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": "270",
    "WORKER_LEASE_MARGIN_SECONDS": "15",
}
FORGETFUL = pytest.mark.parametrize("persistence", ["none"])


@BOTH
def test_redis_killed_with_messages_queued(system: FaultSystem) -> None:
    """Before a worker has taken anything: each message runs once, whatever Redis remembered."""
    system.consumer()
    system.send(200)
    system.wait_until_in_flight(200)
    kill_redis(system)
    forgotten = system.server.persistence == "none"
    first = system.task_ids()
    system.restart_redis()
    system.send(20)
    system.worker()
    system.wait_for_the_end()
    system.assert_each_ran_once()
    assert system.queued() == Counter(system.task_ids()) + Counter(first if forgotten else ())


@BOTH
def test_redis_killed_while_tasks_run(system: FaultSystem) -> None:
    """Some are done, some run, some are reserved, the rest is queued. With an append-only file nothing runs twice."""
    system.consumer(**SOON_REDELIVERED)
    system.worker()
    system.send(300)
    system.wait_until_done(50)
    lost = system.at_risk()
    kill_redis(system)
    system.restart_redis()
    system.send(20)
    system.wait_for_the_end()
    system.assert_only_repeated(*([lost] if system.server.persistence == "none" else []))


@FORGETFUL
def test_redis_restarted_empty_while_idle(system: FaultSystem) -> None:
    """Nothing is in flight: nothing runs again, and the next message is dispatched once."""
    consumer = system.consumer()
    system.worker()
    system.send(20)
    system.wait_for_the_end()
    before = system.server.run_id
    system.server.kill()

    def is_empty(unix_socket_path: object) -> None:
        with redis.Redis(unix_socket_path=str(unix_socket_path)) as client:
            assert client.dbsize() == 0

    system.server.start(before_listening=is_empty)
    assert system.server.run_id != before
    system.monitor.attach(system.server.unix_socket_path)
    consumer.wait_for_text("Redis has lost the ledger")
    system.send(1)
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


@pytest.mark.long
@FORGETFUL
def test_redis_killed_again_and_again(system: FaultSystem) -> None:
    """Five kills in one backlog: each repeats what was not committed before it, once."""
    system.consumer()
    system.worker()
    system.send(400)
    lost = []
    for round_number in range(1, 6):
        system.wait_until_done(round_number * 40)
        lost.append(system.at_risk())
        kill_redis(system)
        system.restart_redis()
    system.send(20)
    system.wait_for_the_end()
    system.assert_only_repeated(*lost)


@FORGETFUL
def test_redis_killed_with_a_key_prefix(system: FaultSystem) -> None:
    """Ledger, queue and kombu's own keys all carry FERRY_KEY_PREFIX; what Redis forgot runs again as without one."""
    system.set_key_prefix("shop:")
    system.consumer()
    system.worker()
    system.send(200)
    system.wait_until_done(50)
    with system.server.client() as client:
        assert [key for key in client.scan_iter() if not key.startswith(b"shop:")] == []
    lost = system.at_risk()
    kill_redis(system)
    system.restart_redis()
    system.send(20)
    system.wait_for_the_end()
    system.assert_only_repeated(lost)


def test_what_a_worker_had_reserved_comes_back_at_once(system: FaultSystem) -> None:
    """After a restart of Redis, with the default limits: nobody waits for a visibility timeout of 330 seconds."""
    system.consumer(**SOON_REDELIVERED)
    system.worker(**DEFAULT_LIMITS)
    system.hold_tasks()
    system.send(20)
    with system.server.client() as client:
        eventually(lambda: client.hlen("unacked"), celery_messages(8, 2))
    kill_redis(system)
    system.restart_redis()
    with system.server.client() as client:
        eventually(lambda: client.hlen("unacked") > 0, expected=True)
    system.let_tasks_end()
    restarted = time.monotonic()
    system.wait_for_the_end()
    assert time.monotonic() - restarted < 20.0
    system.assert_each_ran_once()
    system.assert_queued_again_only_if_vanished()
