"""Slow tasks among fast ones, and queues that are longer than the age at which a message is looked for."""

import time
from collections import Counter

import pytest

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from tests.support.acting import Acting, Place, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.http_get import http_get
from tests.support.kafka_records import committed_offsets, create_topic
from tests.support.processes_of import children_of, stopped

REDELIVER_AFTER_SECONDS = 5.0
#: Enough for both looks of the redelivery, which are 5 s apart.
LONGER = 2.6
#: Two processes with four messages each, claimed or not yet; the rest stays in the queue.
HELD, WAITING = 8, 192
SLOW = 50


@pytest.mark.parametrize(
    ("slow_seconds", "fast"),
    [(0.0, 300), pytest.param(180.0, 10_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])],
)
def test_the_commit_waits_at_the_slow_task_and_the_others_run_once(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, slow_seconds: float, fast: int
) -> None:
    """A new consumer meanwhile repeats nothing of what is done above the commit."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    instance = {"CONSUMER_INSTANCE_ID": "same", "CONSUMER_REDELIVER_AFTER_SECONDS": str(REDELIVER_AFTER_SECONDS)}
    killed = acting.consumer(settings=instance)
    acting.worker()
    started = time.monotonic()
    slow = acts(1, "wait", seconds=slow_seconds, first=SLOW)
    acting.produce([*acts(SLOW), *slow, *acts(fast - SLOW, first=SLOW + 1)])
    everything = places(range(fast + 1))
    eventually(lambda: SLOW in {place.offset for place in acting.started()}, expected=True)
    # Itself; of a batch that it is in, also what waits behind it.
    entry = acting.entry_of(Place(0, SLOW))
    waiting = {place for place in entry if place.offset >= SLOW}
    eventually(lambda: set(acting.done()) == everything - waiting, expected=True, timeout_seconds=150)
    eventually(acting.in_flight, len(entry))

    def committed() -> int:
        return committed_offsets(kafka.bootstrap_servers, acting.group, topic).get(0, 0)

    eventually(lambda: min(entry).offset <= committed() <= SLOW, expected=True)
    held_at = committed()
    killed.kill()
    successor = acting.consumer("successor", instance)
    successor.wait_for_text(rf"{topic}-0: from offset {fast + 1} \(continued from the ledger")
    acting.produce(acts(10, first=fast + 1))
    eventually(lambda: len(acting.done()), fast + 11 - len(waiting))
    assert committed() == held_at
    acting.release()
    acting.settle(timeout_seconds=slow_seconds + 30)
    assert time.monotonic() - started > slow_seconds
    acting.assert_accounted()
    assert acting.started() == Counter(everything | places(range(fast + 1, fast + 11)))


def test_waiting_longer_than_the_redelivery_age_is_no_reason_to_queue_again(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Messages wait behind a worker that stands still, and are held by it, much longer: none is repeated."""
    create_topic(kafka.bootstrap_servers, topic)
    acting, port = Acting(ferry), free_port()
    age = {"CONSUMER_REDELIVER_AFTER_SECONDS": str(REDELIVER_AFTER_SECONDS), "CONSUMER_HTTP_PORT": str(port)}
    consumer = acting.consumer(settings=age)
    worker = acting.worker()
    acting.produce(acts(HELD, "wait"))
    eventually(lambda: (acting.started().total() > 0, acting.queued()), (True, 0))
    with stopped(worker.pid, *children_of(worker.pid)):
        # The queue is in order: clearly older than the oldest that waits, what is held could be taken for lost.
        time.sleep(1.5)
        acting.produce(acts(WAITING, first=HELD))
        eventually(acting.queued, WAITING)
        assert acting.in_flight() == HELD + WAITING
        waiting = acting.queued_ids()
        time.sleep(LONGER * REDELIVER_AFTER_SECONDS)
        assert acting.queued_ids() == waiting
    acting.release()
    assert _redelivered(consumer, port, topic) == 0
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(HELD + WAITING)))
    assert _redelivered(consumer, port, topic) == 0


def _redelivered(consumer: FerryProcess, port: int, topic: str) -> float:
    lines = http_get(port, "/metrics")[1].splitlines()
    assert any(line.startswith("ferry_dispatched_total") for line in lines)
    counted = [float(line.split()[-1]) for line in lines if line.startswith("ferry_redelivered_total{")]
    assert sum(counted) == consumer.output().count("queued again")
    return sum(counted)
