"""`ferry drain` and `ferry forget` while messages come: nothing is lost, and nothing runs twice."""

import signal
import time
from collections.abc import Iterator

import pytest

from ferry_console.local.kafka import LocalKafka
from ferry_shared.ledger.client import connect
from tests.support.busy_system import WAIT_SECONDS, BusySystem
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import committed_offsets, end_offsets
from tests.support.queue_reader import QueueReader

#: A drain that doesn't wait would be over by then.
STILL_SECONDS = 4.0


@pytest.fixture
def system(kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str) -> Iterator[BusySystem]:
    """At work, with messages coming."""
    system = BusySystem(kafka.bootstrap_servers, ferry, topic, group)
    with system.load:
        system.wait_until_at_work()
        yield system


def test_drain_waits_for_all_that_is_in_flight(system: BusySystem, queue: QueueReader) -> None:
    """At its end nothing is queued or runs, Kafka has every commit, and nothing more is dispatched although messages
    come; so consumer and worker can be exchanged and Redis emptied, and nothing runs twice."""
    system.worker.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: system.run("in-flight", "list")["in_flight"] > 50, expected=True)
        words = ("drain", "--reason", "an upgrade", "--timeout", "60")
        draining = system.ferry.start("drain", "-m", "ferry_console", *words)
        draining.wait_for_text(r"[0-9,]+ in flight")
        time.sleep(STILL_SECONDS)
        assert draining.running, draining.output()
    finally:
        system.worker.send_signal(signal.SIGCONT)
    assert draining.wait(WAIT_SECONDS) == 0, draining.output()
    assert "nothing is in flight, all is committed; to go on: ferry resume" in draining.output()
    committed = committed_offsets(system.servers, system.group, system.topic)
    positions = system.positions()
    assert committed == {number: position for number, (position, _) in positions.items()}
    assert queue.peek_ids() == []
    runs = system.recording.runs()
    eventually(
        lambda: all(end > positions[number][1] for number, (_, end) in system.positions().items()), expected=True
    )
    assert (queue.peek_ids(), system.recording.runs()) == ([], runs)
    again = system.run("drain")
    assert (again["result"], [one["changed"] for one in again["targets"]]) == ("drained", [False])

    system.worker.stop()
    system.consumer.stop()
    queue.client.flushdb()
    system.start_consumer()
    system.recording.worker()
    system.run("resume", system.topic, code=1)
    system.assert_accounted_for()


def test_a_drain_that_is_not_done_in_time_says_what_is_left(system: BusySystem) -> None:
    """A worker that stands still: exit code 1, the oldest by its id; then it goes on and is drained."""
    system.worker.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: system.run("in-flight", "list")["in_flight"] > 50, expected=True)
        late = system.run("drain", "--timeout", "2", code=1)
        assert (late["result"], late["in_flight"] > 50) == ("late", True)
        listed = system.run("in-flight", "list", "--limit", "1")
        assert listed["entries"][0]["task_id"] in {one["oldest_task_id"] for one in late["left"]}
    finally:
        system.worker.send_signal(signal.SIGCONT)
    assert system.run("drain", "--timeout", "60")["result"] == "drained"
    assert system.run("resume", system.topic)["changed"]
    system.assert_accounted_for()


def test_forget_leaves_nothing_and_a_group_that_comes_back_goes_on(system: BusySystem, redis_url: str) -> None:
    """Not while it is at work; drained and ended it goes, and what came meanwhile runs once when it comes back."""
    at_work = system.run("forget", system.group, "--force", "--yes", code=1)
    told = " ".join(one["told"] for one in at_work["obstacles"])
    assert "has told of it" in told
    assert "it has 1 member in Kafka" in told
    assert not at_work["removed"]

    assert system.run("drain", "--timeout", "60")["result"] == "drained"
    system.consumer.stop()
    system.worker.stop()
    eventually(lambda: len(system.obstacles()), 0, timeout_seconds=WAIT_SECONDS)
    found = system.run("forget", system.group, "--yes")
    assert found["removed"]
    assert {one["kind"] for one in found["keys"]} >= {"ledger", "pauses", "status"}
    with connect(redis_url) as client:
        assert [name for name in client.scan_iter() if system.group.encode() in name] == []

    system.start_consumer()
    system.recording.worker()
    system.assert_accounted_for()


def test_what_force_forgets_is_dispatched_again(system: BusySystem, queue: QueueReader) -> None:
    """In flight and not committed: both are told as lost; every message runs all the same, from Kafka's commit on."""
    system.worker.kill()
    eventually(lambda: len(queue.peek_ids()) > 50, expected=True)
    system.consumer.stop()
    system.load.end()
    eventually(lambda: all(one["loses"] for one in system.obstacles()), expected=True, timeout_seconds=WAIT_SECONDS)
    refused = system.run("forget", system.group, "--yes", code=1)
    assert (refused["removed"], "in flight of" in refused["obstacles"][0]["told"]) == (False, True)
    forced = system.run("forget", system.group, "--force", "--yes")
    assert forced["removed"]
    assert any("not committed in Kafka" in one["told"] for one in forced["obstacles"])
    system.start_consumer()
    system.recording.worker()
    texts = {f"text {number}" for number in range(system.load.sent)}
    eventually(lambda: set(system.recording.runs()), texts, timeout_seconds=WAIT_SECONDS)
    eventually(
        lambda: committed_offsets(system.servers, system.group, system.topic),
        end_offsets(system.servers, system.topic), timeout_seconds=WAIT_SECONDS,
    )  # fmt: skip
    eventually(lambda: len(queue.peek_ids()), 0, timeout_seconds=WAIT_SECONDS)
