"""Redis doesn't answer for a while, and loses nothing: stopped by SIGSTOP, or out of reach."""

import time

import pytest

from tests.support.fault_system import SOON_REDELIVERED, FaultSystem
from tests.support.tcp_proxy import TcpProxy


def patient(seconds: int) -> dict[str, str]:
    """A worker whose tasks can wait so long for Redis to record their end, with time to spare."""
    limit = str(seconds + 20)
    return {
        "WORKER_TASK_TIME_LIMIT_SECONDS": limit,
        "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": limit,
        "WORKER_REDIS_WAIT_SECONDS": str(seconds + 15),
    }


@pytest.mark.parametrize("persistence", ["none", "append-only"])
def test_redis_stopped_and_continued(system: FaultSystem) -> None:
    """Longer than the clients' timeouts: what they sent meanwhile is carried out later, and nothing happens twice."""
    consumer = system.consumer()
    system.worker(**patient(10))
    system.send(200)
    system.wait_until_done(30)
    before, in_flight = system.server.run_id, system.in_flight
    assert in_flight > 0
    system.server.pause()
    assert system.server.is_stopped
    system.send(50)
    consumer.wait_for_text("nothing is lost, trying again")
    system.server.go_on()
    assert system.server.run_id == before
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.long)])
def test_redis_out_of_reach(system: FaultSystem, proxy: TcpProxy, seconds: int) -> None:
    """Connections are refused for consumer and worker: afterwards everything goes on and has run once."""
    through = {"CELERY_BROKER_URL": system.url_through(proxy)}
    consumer = system.consumer(**through, **SOON_REDELIVERED)
    worker = system.worker(**through, **patient(seconds))
    system.send(200)
    system.wait_until_done(30)
    assert system.in_flight > 0
    proxy.refuse()
    left = time.monotonic()
    system.send(50)
    consumer.wait_for_text("nothing is lost, trying again")
    worker.wait_for_text("Connection refused")
    time.sleep(max(0.0, left + seconds - time.monotonic()))
    proxy.pass_through()
    system.wait_for_the_end(120.0)
    system.assert_each_ran_once()
    system.assert_queued_again_only_if_vanished()
