"""kill -9 of Redis, with and without an append-only file, busy and idle."""

import pytest

from tests.support.fault_system import FaultSystem

BOTH = pytest.mark.parametrize("persistence", ["none", "append-only"])


@BOTH
def test_redis_killed_with_messages_queued(system: FaultSystem) -> None:
    """Before a worker has taken anything: each message runs once, whatever Redis remembered."""
    system.consumer()
    system.send(200)
    system.wait_until_in_flight(200)
    before = system.server.run_id
    system.server.kill()
    system.server.start(before_listening=system.monitor.attach)
    assert system.server.run_id != before
    system.worker()
    system.wait_until_done(200)
    system.wait_until_idle()
    system.assert_nothing_lost()
    system.assert_each_ran_once()


@BOTH
def test_redis_killed_while_tasks_run(system: FaultSystem) -> None:
    """Some are done, some run, some are reserved, the rest is queued."""
    system.consumer()
    system.worker()
    system.send(300)
    system.wait_until_done(50)
    committed, in_flight = system.committed(), system.in_flight
    assert in_flight > 0
    before = system.server.run_id
    system.server.kill()
    system.server.start(before_listening=system.monitor.attach)
    assert system.server.run_id != before
    system.wait_until_done(300)
    system.wait_until_idle()
    system.assert_nothing_lost()
    if system.server.persistence == "append-only":
        system.assert_each_ran_once()
    else:
        system.assert_only_ran_again_from(committed)
