"""The verbs of `ferry` while messages come, tasks run and dead letters are written: each does what it says, and every
message is accounted for afterwards."""

import json
import signal
from collections.abc import Iterator

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.busy_system import PARTITIONS, WAIT_SECONDS, BusySystem
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.queue_reader import QueueReader


@pytest.fixture
def system(kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str) -> Iterator[BusySystem]:
    """At work, with messages coming."""
    system = BusySystem(kafka.bootstrap_servers, ferry, topic, group)
    with system.load:
        system.wait_until_at_work()
        yield system


def test_what_looks_tells_the_truth_and_changes_nothing(system: BusySystem) -> None:
    """Lists, traces and examinations of a system at work."""
    letters = system.dead_letters()
    assert {(letter["reason"], letter["group"]) for letter in letters} == {("not-json", system.group)}
    shown = system.run("dead-letters", "show", letters[0]["id"])
    assert [letter["value"] for letter in shown["dead_letters"]] == ["broken"]
    assert system.run("trace", letters[0]["id"])["state"] == "dead"
    number = next(iter(system.positions()))
    assert system.run("trace", f"{system.topic}-{number}-0@{system.group}")["state"] in {"done", "dead"}

    system.worker.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: system.run("in-flight", "list")["in_flight"] > 100, expected=True)
        listed = system.run("in-flight", "list", "--limit", "10")
        assert listed["more"]
        dispatched = [entry["dispatched"] for entry in listed["entries"]]
        assert (len(dispatched), dispatched) == (10, sorted(dispatched))
        oldest = system.run("status")["partitions"]
        assert {entry["task_id"] for entry in listed["entries"]} & {one["oldest_task_id"] for one in oldest}
        traced = system.run("trace", listed["entries"][-1]["task_id"])
        assert traced["state"] in {"queued", "taken", "waiting"}
    finally:
        system.worker.send_signal(signal.SIGCONT)

    assert system.run("doctor")["findings"]
    made = system.run("topics", "create")["topics"]
    assert [(one["topic"], one["created"]) for one in made] == [(system.topic, False), (f"{system.topic}.dlq", False)]
    system.assert_accounted_for()


def test_skip_ends_one_message_and_no_other(system: BusySystem, queue: QueueReader) -> None:
    """It never runs, and is a dead letter with its reason; all others run once."""
    system.worker.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: len(queue.peek_ids()) > 100, expected=True)
        # From the queue's end: what the worker has reserved already may be past help.
        skipped = queue.peek_ids()[-5:]
        record = system.run("trace", skipped[0])["kafka"]["record"]
        for task_id in skipped:
            assert system.run("skip", task_id, "--reason", "a test")["changed"]
        assert not system.run("skip", skipped[0], "--reason", "again", code=1)["changed"]
        texts = [json.loads(system.run("trace", one)["kafka"]["record"]["value"])["text"] for one in skipped]
        assert json.loads(record["value"])["text"] == texts[0]
    finally:
        system.worker.send_signal(signal.SIGCONT)
    eventually(
        lambda: {one["id"] for one in system.dead_letters() if one["reason"] == "skipped"}, set(skipped),
        timeout_seconds=WAIT_SECONDS,
    )  # fmt: skip
    system.assert_accounted_for(*texts)


def test_pause_stops_intake_and_resume_lets_it_go_on(system: BusySystem) -> None:
    """Of one partition alone, then of all; the log grows meanwhile, and nothing is lost or runs twice."""
    assert system.run("pause", f"{system.topic}:1", "--reason", "a test")["changed"]
    one = {number: system.run("status")["partitions"][number]["paused"] for number in range(PARTITIONS)}
    assert {number: pause and pause["why"] for number, pause in one.items()} == {0: None, 1: "a test", 2: None}
    assert system.run("pause", system.topic)["changed"]

    def stand_still() -> bool:
        before = system.positions()
        after = system.positions()
        return all(before[number][0] == after[number][0] and before[number][1] < after[number][1] for number in before)

    eventually(stand_still, expected=True, timeout_seconds=WAIT_SECONDS)
    held = {number: position for number, (position, _) in system.positions().items()}
    eventually(lambda: system.run("in-flight", "list")["in_flight"], 0, timeout_seconds=WAIT_SECONDS)
    assert {number: position for number, (position, _) in system.positions().items()} == held
    assert system.run("resume", system.topic)["changed"]
    eventually(lambda: system.positions()[0][0] > held[0], expected=True)
    assert system.positions()[1][0] == held[1], "its own pause is left"
    assert system.run("resume", f"{system.topic}:1")["changed"]
    system.assert_accounted_for()
