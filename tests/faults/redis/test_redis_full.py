"""Redis out of memory, and Redis that begins to evict."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.eventually import eventually
from tests.support.fault_system import FaultSystem


@contextmanager
def full(system: FaultSystem) -> Iterator[None]:
    """The server has no memory left for the length of the block: not because of Ferry, whose keys are small."""
    with system.server.client() as client:
        client.config_set("maxmemory", "1mb")
        used, limit = client.info("memory")["used_memory"], client.info("memory")["maxmemory"]
        assert used > limit
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


@pytest.mark.parametrize("prefix", ["", "shop:"])
def test_redis_full_while_messages_come_in(system: FaultSystem, prefix: str) -> None:
    """Nothing new is dispatched, and the consumer says why; what is queued runs and ends; then everything goes on."""
    system.set_key_prefix(prefix)
    consumer = system.consumer()
    worker = system.worker()
    system.send(100)
    system.wait_until_done(20)
    with full(system):
        assert system.in_flight > 0
        system.send(50)
        # It was full before the consumer saw that it was filling up, or the other way round.
        consumer.wait_for_text("used memory > 'maxmemory'.*nothing is lost, trying again|of its maxmemory")
        system.wait_until_done(100)
        assert system.queued().total() == 100
    assert worker.running
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


def test_redis_full_at_the_moment_of_a_retry_and_a_failure(system: FaultSystem) -> None:
    """Both are recorded on the full server; the retry is queued and the dead letter written when there is memory."""
    consumer = system.consumer()
    system.worker()
    system.hold_tasks()
    # One after the other, so that no batch holds both.
    for number, kind in enumerate(("retry", "fail"), 1):
        system.send(1, kind)
        eventually(lambda: system.told("started").total(), number)
    with full(system):
        system.let_tasks_end()
        eventually(lambda: (system.told("retrying").total(), system.told("failing").total()), (1, 1))
        eventually(lambda: system.dead_letters().total(), 1)
        # The retry was due, and refused.
        consumer.wait_for_text("used memory > 'maxmemory'")
        assert system.told("started").total() == 2
    system.wait_for_the_end()
    assert sorted(system.told("started").items()) == [("fail 1", 1), ("retry 0", 2)]
    system.assert_only_repeated()


def test_a_consumer_that_is_stopped_beside_a_full_redis_commits_what_is_done(system: FaultSystem) -> None:
    """Its last dispatch is refused, and nothing but its end would commit: it looks once a minute."""
    consumer = system.consumer(CONSUMER_SNAPSHOT_INTERVAL_MS="60000")
    worker = system.worker()
    system.hold_tasks()
    system.send(20)
    system.wait_until_in_flight(20)
    with system.server.client() as client:
        client.client_pause(5_000, all=False)
        system.send(20)
        eventually(lambda: any(each["name"] == "ferry" and "b" in each["flags"] for each in client.client_list()), True)
        with full(system):
            client.client_unpause()
            consumer.wait_for_text("used memory > 'maxmemory'")
            system.let_tasks_end()
            system.wait_until_done(20)
            eventually(lambda: system.in_flight, 0)
            assert sum(system.committed().values()) == 0
            consumer.send_signal(signal.SIGTERM)
            assert consumer.wait(20.0) == 0
            assert sum(system.committed().values()) == 20
    assert worker.running
    system.consumer()
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()


@pytest.mark.long
def test_an_eviction_policy_set_at_run_time_is_refused_within_a_minute(system: FaultSystem) -> None:
    """The consumer stops with exit code 2 and a sentence, messages in flight; put right, a new one goes on."""
    consumer = system.consumer()
    system.send(100)
    system.wait_until_in_flight(100)
    with system.server.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert consumer.wait(75.0) == 2
        assert "expected noeviction" in consumer.output()
        assert system.in_flight == 100
        client.config_set("maxmemory-policy", "noeviction")
    system.consumer()
    system.worker()
    system.wait_for_the_end()
    system.assert_each_ran_once()
    system.assert_each_queued_once()
