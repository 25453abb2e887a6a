"""Redis loses some or all of its data while it runs: FLUSHALL, single keys, an older snapshot."""

from collections import Counter

import pytest

from tests.support.eventually import eventually
from tests.support.fault_system import SOON_REDELIVERED, FaultSystem
from tests.support.processes_of import continue_process, stop_process
from tests.support.with_batches import WITH_BATCHES

#: So small that two processes don't take all of them.
SMALL_BATCHES = {"CONSUMER_BATCH_SIZE": "3"}
LEDGER_KEYS = ["head", "inflight", "state", "times", "attention"]


def flush(system: FaultSystem) -> None:
    """FLUSHALL."""
    with system.server.client() as client:
        assert client.dbsize() > 0
        client.flushall()


def test_flushall_while_tasks_run(system: FaultSystem) -> None:
    """What isn't committed is dispatched again, once, and nothing below or after."""
    system.consumer()
    system.worker()
    system.send(300)
    system.wait_until_done(50)
    lost = system.at_risk()
    assert system.in_flight > 0
    flush(system)
    system.send(20)
    system.wait_for_the_end()
    system.assert_only_repeated(lost)


def test_flushall_while_idle(system: FaultSystem) -> None:
    """The consumer notices without a message, and the next one is dispatched once."""
    consumer = system.consumer()
    system.worker()
    system.send(20)
    system.wait_for_the_end()
    flush(system)
    consumer.wait_for_text("Redis has lost the ledger")
    system.send(1)
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


@pytest.mark.parametrize("key", LEDGER_KEYS)
def test_one_key_of_the_ledger_is_gone_under_load(system: FaultSystem, key: str) -> None:
    """As an eviction takes it: nothing is lost, what was sent may run again once, and no other partition notices."""
    system.consumer(**SOON_REDELIVERED)
    system.worker()
    system.send(150)
    system.send(20, "retry")
    system.send(10, "fail")
    system.send(60)
    system.wait_until_done(30)
    assert system.in_flight > 0
    name = getattr(system.ledger_keys()[0], key)
    lost = system.at_risk({0: system.committed()[0]})
    with system.server.client() as client:
        eventually(lambda: client.delete(name), 1)
    system.wait_for_the_end()
    system.assert_only_repeated(lost)


@pytest.mark.parametrize("key", LEDGER_KEYS)
def test_one_key_of_the_ledger_is_gone_with_retries_and_failures_open(system: FaultSystem, key: str) -> None:
    """The consumer is away, so retries wait and failures have no dead letter yet: nobody can lose sight of them."""
    consumer = system.consumer()
    system.worker()
    system.hold_tasks()
    system.send(4, "retry")
    system.send(4, "fail")
    system.wait_until_in_flight(8)
    consumer.kill()
    system.let_tasks_end()
    eventually(lambda: (system.told("retrying").total(), system.told("failing").total()), (4, 4))
    assert system.in_flight == 8
    with system.server.client() as client:
        assert client.delete(*(getattr(keys, key) for keys in system.ledger_keys())) == 2
    lost = system.at_risk()
    system.consumer(**SOON_REDELIVERED)
    system.send(4)
    system.wait_for_the_end()
    system.assert_only_repeated(lost)


@pytest.mark.parametrize("key", ["celery", "unacked", "unacked_index"])
def test_one_key_of_the_transport_is_gone_and_its_worker_too(system: FaultSystem, key: str) -> None:
    """The queue, or what kombu keeps of reserved messages: what nobody has is queued again, what ran runs again."""
    system.consumer(**SOON_REDELIVERED, **(SMALL_BATCHES if WITH_BATCHES else {}))
    worker = system.worker()
    system.hold_tasks()
    system.send(60)
    system.wait_until_in_flight(60)
    with system.server.client() as client:
        eventually(lambda: (client.hlen("unacked"), client.llen("celery") > 10), (8, True))
        eventually(lambda: system.told("started").total(), 2)
        worker.kill()
        assert client.delete(key) == 1
    killed = set(system.told("started"))
    system.let_tasks_end()
    system.worker()
    system.wait_for_the_end()
    assert len(killed) == 2
    assert system.told("started") == Counter(system.texts) + Counter(killed)
    system.assert_queued_again_only_if_vanished()


def test_an_older_snapshot_while_tasks_run(system: FaultSystem) -> None:
    """What happened since the snapshot is forgotten: it runs again, and nothing that was committed before it does."""
    # The snapshot may lie between a worker's taking a message and its note of that.
    system.consumer(**SOON_REDELIVERED)
    system.worker()
    system.send(300)
    system.wait_until_done(50)
    committed, snapshot = system.committed(), system.server.take_snapshot()
    system.wait_until_done(150)
    before = system.server.run_id
    assert system.in_flight > 0
    system.server.restore(snapshot, before_listening=system.monitor.attach)
    assert system.server.run_id != before
    lost = system.at_risk(committed)
    system.send(20)
    system.wait_for_the_end()
    system.assert_only_repeated(lost)


@pytest.mark.parametrize("in_flight", [0, 20], ids=["an older position", "the same position"])
def test_an_older_snapshot_while_idle(system: FaultSystem, in_flight: int) -> None:
    """Everything is done and committed: the consumer notices that the ledger went back, and nothing runs again."""
    consumer = system.consumer(**SOON_REDELIVERED)
    worker = system.worker()
    system.hold_tasks()
    system.send(in_flight)
    system.wait_until_in_flight(in_flight)
    snapshot = system.server.take_snapshot()
    system.let_tasks_end()
    system.send(20 - in_flight)
    system.wait_for_the_end()
    # The worker sees the old queue only after the consumer has seen the old ledger.
    stop_process(worker.pid)
    system.server.restore(snapshot, before_listening=system.monitor.attach)
    consumer.wait_for_text("the ledger is not as it was left")
    eventually(lambda: system.in_flight, 0)
    continue_process(worker.pid)
    system.send(1)
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_queued_again_only_if_vanished()


def test_two_groups_and_one_loses_its_ledger(system: FaultSystem) -> None:
    """Both read one topic into one Redis; the other group runs every message once and notices nothing."""
    other = system.as_group(f"{system.group}-other")
    system.consumer()
    consumer_of_other = other.consumer()
    system.worker()
    system.send(60)
    system.wait_until_done(30)
    # Held until both have messages in flight: one group's may all be queued before the other's.
    system.hold_tasks()
    system.send(90)
    for each in (system, other):
        each.wait_until_in_flight(90)
    lost = system.at_risk()
    system.let_tasks_end()
    with system.server.client() as client:
        assert client.delete(*(name for keys in system.ledger_keys() for name in keys.all)) >= 2
    system.send(20)
    system.wait_for_the_end()
    system.assert_only_repeated(lost)
    other.wait_for_the_end()
    other.assert_each_ran_once()
    other.assert_each_queued_once()
    assert consumer_of_other.output().count(": from offset") == 2, "it has taken its partitions up again"
    assert "WARNING" not in consumer_of_other.output()
