"""`ferry dead-letters purge` on real Kafka and real Valkey: what goes is gone, what must stay stays, under load."""

import json
import threading
import time
from collections import Counter
from typing import Any

import pytest

from ferry_console.local.kafka import LocalKafka
from ferry_console.topic_log import TopicLog
from ferry_shared.settings import ConsumerSettings
from tests.integration.test_replay import dead_letters, lenient, numbers, replay, started, tasks_of, texts_of
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import delete_records_before
from tests.support.kafka_records import create_topic, end_offsets, produce
from tests.support.queue_reader import QueueReader

LETTERS = 300
NOBODY_THERE = "127.0.0.1:1"


def purge(ferry: FerryProcesses, *words: str, code: int = 0, **settings: str) -> dict[str, Any]:
    """Purge without being asked, and return what programs get; the command must end with this exit code."""
    arguments = ("-m", "ferry_console", "dead-letters", "purge", "--yes", "--json", *words)
    done = ferry.run(*arguments, settings=settings)
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def letters(ferry: FerryProcesses) -> list[dict[str, Any]]:
    """The dead letters that are there, oldest first."""
    done = ferry.run("-m", "ferry_console", "dead-letters", "list", "--json", "--limit", "10000")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["dead_letters"]
    return sorted(found, key=lambda one: one["offset"])


def test_old_letters_go_while_new_ones_are_written(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """Each letter is either removed and counted, or still there; the consumer writes on, and loses none."""
    servers = kafka.bootstrap_servers
    dead_letters(ferry, servers, topic, LETTERS)
    old = [one["id"] for one in letters(ferry)]
    time.sleep(0.1)
    until = str(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1)))
    time.sleep(2)
    started(ferry.consumer("strict again", CONSUMER_DEAD_LETTER_LIMIT_RUN="0"))
    load = threading.Thread(target=produce, args=(servers, topic, numbers(LETTERS, LETTERS)))
    load.start()
    assert purge(ferry, "--until", until, "--dry-run")["removed"] == LETTERS
    told = purge(ferry, "--until", until)
    load.join()
    assert told["removed"] == LETTERS
    assert told["partitions"][0]["asked_for"] == 0
    eventually(lambda: end_offsets(servers, f"{topic}.dlq"), {0: 2 * LETTERS}, timeout_seconds=60)
    left = [one["id"] for one in letters(ferry)]
    assert (len(left), set(left) & set(old)) == (LETTERS, set())
    assert purge(ferry, "--until", until)["removed"] == 0


def test_what_is_replayed_at_the_same_time_goes_only_after_it_was_sent(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Purges of what was replayed, again and again, while a replay runs and a consumer takes the records: each
    message runs once, none is lost, and in the end all letters are gone."""
    servers = kafka.bootstrap_servers
    dead_letters(ferry, servers, topic, LETTERS)
    started(ferry.consumer("mended", **lenient(ferry, topic)))
    removed = 0
    is_over = threading.Event()

    def purge_again_and_again() -> None:
        nonlocal removed
        while not is_over.is_set():
            done = ferry.run("-m", "ferry_console", "dead-letters", "purge", "--replayed", "--yes", "--json")
            assert done.returncode in {0, 1}, done.stderr
            removed += json.loads(done.stdout)["removed"]

    purging = threading.Thread(target=purge_again_and_again)
    purging.start()
    told = replay(ferry, "--all")
    is_over.set()
    purging.join()
    assert (told["replayed"], told["purged"], told["cut_short"]) == (LETTERS, 0, None)
    removed += purge(ferry, "--replayed")["removed"]
    eventually(lambda: len(tasks_of(queue, group)), LETTERS, timeout_seconds=60)
    assert texts_of(tasks_of(queue, group)) == Counter(range(LETTERS))
    assert (removed, letters(ferry)) == (LETTERS, [])


def test_a_letter_that_stays_holds_those_behind_it(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """Of the values asked for, those before the first other one go; exit code 1 and the id that holds the others."""
    servers = kafka.bootstrap_servers
    dead_letters(ferry, servers, topic, 6)
    found = letters(ferry)
    first = found[0]
    value = json.loads(ferry.run("-m", "ferry_console", "dead-letters", "show", first["id"], "--json").stdout)
    text = json.loads(value["dead_letters"][0]["value"])["text"]
    told = purge(ferry, "--text", f'"text": {text}', code=0)
    assert (told["removed"], told["stay"]) == (1, 5)
    assert told["partitions"][0]["first"] == {"id": found[1]["id"], "why": "isn't asked for"}
    assert [one["id"] for one in letters(ferry)] == [one["id"] for one in found[1:]]
    assert replay(ferry, found[1]["id"])["replayed"] == 1
    assert replay(ferry, found[3]["id"])["replayed"] == 1
    told = purge(ferry, "--replayed", code=1)
    assert (told["removed"], told["stay"], told["partitions"][0]["asked_for"]) == (1, 4, 1)
    assert f"the first that stays, {found[2]['id']}, was not replayed" in told["warnings"][0]
    assert purge(ferry, "--all")["removed"] == 4
    assert letters(ferry) == []


def test_a_compacted_topic_is_left_alone(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Kafka deletes nothing of it on request: that is said before anybody is asked."""
    servers = kafka.bootstrap_servers
    create_topic(servers, f"{topic}.dlq", config={"cleanup.policy": "compact"})
    produce(servers, f"{topic}.dlq", [b"{}"], key=b"key")
    told = purge(ferry, "--all", "--all-groups", code=1)
    assert (told["removed"], list(told["refused"])) == (0, [f"{topic}.dlq"])
    assert "is left alone: it is compacted (cleanup.policy=compact)" in told["warnings"][0]
    assert len(letters(ferry)) == 1


def test_a_server_that_is_away(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Exit code 3, and nothing is removed."""
    create_topic(kafka.bootstrap_servers, f"{topic}.dlq")
    produce(kafka.bootstrap_servers, f"{topic}.dlq", [b"{}"])
    arguments = ("-m", "ferry_console", "dead-letters", "purge", "--all", "--all-groups", "--yes")
    for setting, value in (
        ("KAFKA_BOOTSTRAP_SERVERS", NOBODY_THERE), ("CELERY_BROKER_URL", f"redis://{NOBODY_THERE}/0"),
    ):  # fmt: skip
        done = ferry.run(*arguments, settings={setting: value})
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        assert setting in done.stderr
    assert len(letters(ferry)) == 1


def test_what_is_deleted_while_a_topic_is_read_is_passed_over(
    kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """The rest is read; a stretch that is gone whole ends."""
    servers = kafka.bootstrap_servers
    create_topic(servers, topic, partitions=2)
    for number in range(2):
        produce(servers, topic, [b"%d" % value for value in range(10)], partition=number)
    log = TopicLog(ConsumerSettings(kafka_bootstrap_servers=servers), "tests")
    try:
        whole = log.whole(topic)
        delete_records_before(servers, topic, 6)
        delete_records_before(servers, topic, 10, partition=1)
        seen: list[tuple[int, int]] = []
        assert log.read(topic, whole, time.monotonic() + 30, lambda one: seen.append((one.partition, one.offset)))
        assert seen == [(0, offset) for offset in range(6, 10)]
    finally:
        log.close()
