"""`ferry status` against a live system: under load, without its consumer, after Redis lost everything, and watched."""

import json
import os
import pty
import signal
import subprocess
import sys
from typing import Any

import pytest
from redis import Redis

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.keys import LedgerKeys, status_key
from ferry_shared.ledger.pauses import Pause, pause
from ferry_shared.record import TopicPartition
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic, end_offsets, produce
from tests.support.messages import texts
from tests.support.queue_reader import QueueReader
from tests.support.recording import Recording
from tests.support.with_batches import WITH_BATCHES

QUICK = {"CONSUMER_STATUS_INTERVAL_SECONDS": "0.2"}


def status(ferry: FerryProcesses, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run the command once; it must end with this exit code."""
    done = ferry.run("-m", "ferry_console", "status", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def totals(ferry: FerryProcesses) -> dict[str, Any]:
    """The totals, whatever the exit code: for a system that has only just started."""
    told: dict[str, Any] = json.loads(words(ferry, "--json").stdout)["totals"]
    return told


def words(ferry: FerryProcesses, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command once, for people."""
    return ferry.run("-m", "ferry_console", "status", *arguments)


@pytest.fixture
def client(redis_url: str) -> Redis:
    """This test's Redis."""
    return connect(redis_url)


def test_under_load_the_numbers_fit_together(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """At every look committed ≤ position ≤ log end; at the end nothing is left, and everything is counted."""
    create_topic(kafka.bootstrap_servers, topic, partitions=3)
    recording = Recording(ferry)
    ferry.consumer(**QUICK).wait_for_text("from offset")
    recording.worker()
    produce(kafka.bootstrap_servers, topic, [*texts(*range(800)), b"broken"])
    ends = end_offsets(kafka.bootstrap_servers, topic)
    looks: list[dict[str, Any]] = []
    while not looks or looks[-1]["totals"]["backlog"] or len(looks) < 3:
        looks.append(status(ferry))
        assert len(looks) < 200
    for look in looks:
        for partition in look["partitions"]:
            assert (
                partition["committed"] <= partition["position"] <= partition["log_end"] <= ends[partition["partition"]]
            )
            assert partition["backlog"] <= partition["lag"]
            assert 0 <= partition["in_flight"] <= partition["position"] - partition["committed"]
            assert (partition["oldest_task_id"] is None) == (partition["in_flight"] == 0)
            assert partition["ledger"] == "sound"
    assert max(look["totals"]["in_flight"] for look in looks) > 0, "a look was to find it at work"
    eventually(lambda: status(ferry)["totals"]["lag"], 0)
    last = status(ferry)
    assert {partition["partition"]: partition["committed"] for partition in last["partitions"]} == ends
    assert (last["totals"]["dead_letters"], last["consumers"], last["served"], last["warnings"]) == (1, 1, True, [])


def test_a_killed_consumer_makes_nothing_stale_but_what_only_it_knows(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, client: Redis, topic: str, group: str
) -> None:
    """What workers finish is seen at once; that nobody consumes is exit code 1, also when its last word has expired."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1, 2))
    consumer = ferry.consumer(**QUICK)
    eventually(lambda: totals(ferry)["in_flight"], 3)
    (before,) = status(ferry)["partitions"]
    assert before["consumer"].endswith(f":{consumer.pid}")
    consumer.kill()
    first, *_ = queue.take_all()
    queue.finish(first)
    told = status(ferry)
    (partition,) = told["partitions"]
    assert (partition["position"], partition["in_flight"], partition["oldest_task_id"]) == (
        3,
        2,
        f"{topic}-0-1@{group}",
    )

    _age_the_word(client, group, topic, seconds=60)
    told = status(ferry, code=1)
    assert told["partitions"][0]["silent"]
    assert told["partitions"][0]["heard_seconds_ago"] >= 60
    assert "nobody consumes: the last word came 1 min" in told["warnings"][0]
    client.delete(status_key("", group))
    told = status(ferry, code=1)
    (partition,) = told["partitions"]
    assert (partition["topic"], partition["position"], partition["log_end"], partition["in_flight"]) == (
        topic,
        3,
        None,
        2,
    )
    assert words(ferry).returncode == 1


def _age_the_word(client: Redis, group: str, topic: str, seconds: int) -> None:
    """What a consumer wrote becomes older, as if so much time had passed."""
    word: Any = client.hget(status_key("", group), f"{topic}:0")
    fields = json.loads(word)
    fields["at_ms"] -= seconds * 1000
    client.hset(status_key("", group), f"{topic}:0", json.dumps(fields))


def test_after_redis_lost_everything(
    kafka: LocalKafka, ferry: FerryProcesses, client: Redis, topic: str, group: str
) -> None:
    """Without a consumer: that there is no ledger. With one: it has made a new one, and says what ran again."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1, 2))
    consumer = ferry.consumer(**QUICK)
    eventually(lambda: totals(ferry)["in_flight"], 3)
    client.flushdb()
    eventually(lambda: (totals(ferry)["in_flight"], totals(ferry)["rewound"]), (3, 3))
    consumer.kill()
    client.flushdb()
    told = words(ferry)
    assert told.returncode == 1
    assert f"group {group} has no ledger, and no consumer has said anything" in told.stdout
    assert status(ferry, "--group", "another", code=1)["group"] == "another"


def test_pauses_say_why_and_who(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, client: Redis, topic: str, group: str
) -> None:
    """A limit, as the consumer says; an operator, as is written down."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(*range(50)))
    ferry.consumer(**QUICK, CONSUMER_MAX_IN_FLIGHT_PER_PARTITION="5", CONSUMER_INTAKE_MAX_MESSAGES="5")
    eventually(lambda: totals(ferry)["paused"], 1)
    assert status(ferry)["partitions"][0]["paused"] == {"reason": "limit", "who": None, "when": None, "why": None}
    assert len(queue.peek_ids()) < 50
    pause(client, "", group, topic, Pause("ann@desk", 0, "a bad deployment"))
    told = words(ferry)
    assert told.returncode == 0
    assert "paused (operator) by ann@desk since 20" in told.stdout
    assert "a bad deployment; ferry resume lets it go on" in told.stdout


def test_an_old_message_is_named(kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str) -> None:
    """The one that holds the committed offset back, for `ferry trace`."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1))
    ferry.consumer(**QUICK)
    asked = f"ask ferry trace {topic}-0-{'0..1' if WITH_BATCHES else '0'}@{group}"
    eventually(lambda: [warning.endswith(asked) for warning in of_age(ferry, "0.5")], [True])
    assert of_age(ferry, "300") == []


def of_age(ferry: FerryProcesses, old_seconds: str) -> list[str]:
    """What is warned of because it is older than that."""
    found: list[str] = json.loads(words(ferry, "--json", "--old", old_seconds).stdout)["warnings"]
    return [warning for warning in found if "in flight for" in warning]


def test_without_redis(ferry: FerryProcesses) -> None:
    """Exit code 3 and a sentence; while watching it goes on looking."""
    ferry.settings["CELERY_BROKER_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    done = words(ferry)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("ferry: Redis: ")
    assert "CELERY_BROKER_URL" in done.stderr
    watching = ferry.start("watch", "-m", "ferry_console", "status", "--json", "--watch", "0.1")
    watching.wait_for(lambda text: text.count("\n") >= 3)
    watching.send_signal(signal.SIGINT)
    assert watching.wait() == 130
    assert all("error" in json.loads(line) for line in watching.lines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watched_in_a_pipe(ferry: FerryProcesses, client: Redis, group: str, number: signal.Signals) -> None:
    """A block an interval, at once and whole; what has changed is in the next one; a signal ends it."""
    watching = ferry.start("watch", "-m", "ferry_console", "status", "--watch", "0.1")
    watching.wait_for(lambda text: text.count("has no ledger") >= 2)
    keys = LedgerKeys.of("", group, TopicPartition("orders", 7))
    client.hset(keys.head, mapping={"position": "123456"})
    watching.wait_for_text(r"\norders +7 .* 123,456 .*\n\n")
    assert "\x1b" not in watching.output()
    watching.send_signal(number)
    assert watching.wait() == 130
    assert "Traceback" not in watching.output()


def test_a_reader_that_goes_away_is_no_trouble(ferry: FerryProcesses) -> None:
    """`ferry status --watch | head -1` ends without a traceback."""
    command = f"{sys.executable} -m ferry_console status --watch 0.1 | head -1"
    done = subprocess.run(
        ["sh", "-c", command], env=ferry.environment(), cwd=ferry.directory, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("group ")
    assert done.stderr == ""


def test_on_a_terminal_it_is_redrawn(ferry: FerryProcesses) -> None:
    """In place, not scrolled; Ctrl-C shows the cursor again."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "ferry_console", "status", "--watch", "0.1"]
    environment = ferry.environment({"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"})
    with subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, env=environment, cwd=ferry.directory
    ) as watching:
        os.close(child)
        shown = b""
        while shown.count(b"has no ledger") < 3:
            shown += os.read(parent, 65_536)
        os.write(parent, b"\x03")
        watching.send_signal(signal.SIGINT)
        try:
            while more := os.read(parent, 65_536):
                shown += more
        except OSError:  # Linux says EIO at the end of a terminal.
            pass
        assert watching.wait(30) == 130
    os.close(parent)
    assert shown.count(b"\x1b[1A") > 0, "the lines before are gone up to, not scrolled away"
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1
    assert b"Traceback" not in shown
