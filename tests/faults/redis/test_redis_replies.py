"""The network between a program and Redis: replies that are late, lost, or cut off after the script has run."""

from collections.abc import Callable

import pytest

from ferry_shared.ledger.scripts import script
from tests.support.eventually import eventually
from tests.support.fault_system import SOON_REDELIVERED, FaultSystem, kill_redis
from tests.support.tcp_proxy import TcpProxy
from tests.support.with_batches import outcome_script

#: Longer than a task of these tests waits for Redis, so that no time limit ends it meanwhile.
PATIENT = {"WORKER_TASK_TIME_LIMIT_SECONDS": "30", "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": "30"}


def digest(name: str) -> bytes:
    """What EVALSHA carries for a script, once the server knows it."""
    return script(name).digest.encode()


def warm_up(system: FaultSystem, kind: str = "text") -> None:
    """Let every script that such a message needs be loaded: the first EVALSHA of each is answered by NOSCRIPT."""
    # Two of each partition, which make a batch where there are batches.
    system.send(4, kind)
    system.wait_for_the_end()


def test_a_dispatch_whose_reply_is_cut_is_not_repeated(system: FaultSystem, proxy: TcpProxy) -> None:
    """The consumer finds its own dispatch in the ledger, and goes on after it."""
    consumer = system.consumer(CELERY_BROKER_URL=system.url_through(proxy))
    system.worker()
    warm_up(system)
    proxy.cut_reply_after(digest("dispatch"))
    system.send(100)
    consumer.wait_for_text("going on after")
    assert proxy.cuts == 1
    system.send(20)
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


@pytest.mark.parametrize(
    "disturb", [lambda proxy: proxy.delay(7.0), lambda proxy: proxy.drop()], ids=["late replies", "nothing arrives"]
)
def test_a_consumer_that_hears_nothing_dispatches_once(
    system: FaultSystem, proxy: TcpProxy, disturb: Callable[[TcpProxy], None]
) -> None:
    """Longer than its timeout, while messages come in and tasks end; the worker has its own way to Redis."""
    consumer = system.consumer(CELERY_BROKER_URL=system.url_through(proxy))
    system.worker()
    system.send(200)
    system.wait_until_done(20)
    disturb(proxy)
    assert system.in_flight > 0
    system.send(100)
    consumer.wait_for_text("nothing is lost, trying again")
    system.send(50)
    proxy.pass_through()
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


@pytest.mark.parametrize("name", ["claim", outcome_script("done")])
def test_a_worker_whose_reply_is_cut_asks_again(system: FaultSystem, proxy: TcpProxy, name: str) -> None:
    """The same owner claims again and runs; done again finds its entry gone. The task runs once."""
    system.consumer()
    worker = system.worker(CELERY_BROKER_URL=system.url_through(proxy), **PATIENT)
    warm_up(system)
    proxy.cut_reply_after(digest(name))
    system.send(100)
    eventually(lambda: proxy.cuts, 1)
    worker.wait_for_text("the ledger's Redis is away")
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


def test_late_replies_reach_a_worker(system: FaultSystem, proxy: TcpProxy) -> None:
    """A slow network is slow, and nothing else."""
    system.consumer()
    system.worker(CELERY_BROKER_URL=system.url_through(proxy), **PATIENT)
    proxy.delay(0.2)
    system.send(20)
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


def test_a_worker_that_hears_nothing_goes_on_where_it_was(system: FaultSystem, proxy: TcpProxy) -> None:
    """Outcomes that were sent into the dark are asked again; what it had reserved comes back. All of it runs once."""
    system.consumer(**SOON_REDELIVERED)
    worker = system.worker(CELERY_BROKER_URL=system.url_through(proxy), **PATIENT)
    system.send(200)
    system.wait_until_done(20)
    # Both processes must be in a task: one that had just ended one could wait for ever for its parent, which may hear
    # nothing either.
    system.hold_tasks()
    eventually(lambda: system.told("started").total() - system.told("done").total(), 2)
    proxy.drop()
    system.let_tasks_end()
    assert system.in_flight > 0
    worker.wait_for_text("the ledger's Redis is away")
    proxy.pass_through()
    system.wait_for_the_end(90.0)
    system.assert_only_repeated()


@pytest.mark.parametrize("kind", ["retry", "fail"])
def test_the_reply_to_a_retry_or_failure_is_cut(system: FaultSystem, proxy: TcpProxy, kind: str) -> None:
    """It is asked again and found recorded: one retry, or one dead letter."""
    system.consumer()
    system.worker(CELERY_BROKER_URL=system.url_through(proxy), **PATIENT)
    warm_up(system, kind)
    proxy.cut_reply_after(digest(outcome_script(kind)))
    system.send(10, kind)
    system.wait_for_the_end()
    assert proxy.cuts == 1
    system.assert_only_repeated()


@pytest.mark.parametrize("persistence", ["none", "append-only"])
@pytest.mark.parametrize("kind", ["retry", "fail"])
def test_redis_dies_between_a_retry_or_failure_and_its_acknowledgement(
    system: FaultSystem, proxy: TcpProxy, kind: str
) -> None:
    """With an append-only file it is recorded, once; without one the message is dispatched again, once."""
    system.consumer(**SOON_REDELIVERED)
    system.worker(CELERY_BROKER_URL=system.url_through(proxy), **PATIENT)
    warm_up(system, kind)
    committed = system.committed()
    proxy.cut_reply_after(digest(outcome_script(kind)), then=lambda: kill_redis(system))
    system.send(10, kind)
    lost = [system.at_risk(committed)] if system.server.persistence == "none" else []
    eventually(lambda: proxy.cuts, 1)
    assert not system.server.process.running
    system.restart_redis()
    system.wait_for_the_end(90.0)
    system.assert_only_repeated(*lost)
