"""`ferry dead-letters` on a real Kafka: what is listed and shown, how much is read for it, and that nothing changes."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from ferry_console.dead_letters.filters import LetterFilter
from ferry_console.dead_letters.reading import CLOCK_MARGIN_MS, FIRST_WINDOW, LetterList, read_letters
from ferry_console.local.kafka import LocalKafka
from ferry_console.topic_log import TopicLog
from ferry_shared.settings import ConsumerSettings
from tests.integration.worker_harness import QUICK_START
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import delete_records_before, produce_in_transactions
from tests.support.kafka_records import create_topic, end_offsets, produce, read_all
from tests.support.messages import texts
from tests.support.task_routes import route

NOBODY_THERE = "127.0.0.1:1"
HOUR_MS = 3_600_000


def listed(ferry: FerryProcesses, *words: str, code: int = 0, **settings: str) -> dict[str, Any]:
    """The list as programs get it; the command must end with this exit code."""
    done = ferry.run("-m", "ferry_console", "dead-letters", "list", "--json", *words, settings=settings)
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def shown(ferry: FerryProcesses, task_id: str, code: int = 0) -> dict[str, Any]:
    """One id's dead letters as programs get them."""
    done = ferry.run("-m", "ferry_console", "dead-letters", "show", task_id, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_what_the_consumer_wrote_is_listed_and_shown(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """Of two routes, invalid and failed: newest first, by reason and text, and each whole as it was sent."""
    failing = f"{topic}-failing"
    for name in (topic, failing):
        create_topic(kafka.bootstrap_servers, name)
    routed = route(ferry, {topic: "tests.waiting", failing: "tests.failing"})
    produce(
        kafka.bootstrap_servers, topic, [b"\x1b[2Jbroken"], key=b"key", headers=[("trace", b"\xff"), ("none", None)]
    )
    # The consumer makes the dead-letter topics before it takes its partitions up.
    ferry.consumer().wait_for_text("from offset")
    eventually(lambda: len(listed(ferry)["dead_letters"]), 1)
    produce(kafka.bootstrap_servers, failing, [b'{"number": 1}'])
    ferry.worker("-c", "1", *QUICK_START)
    eventually(lambda: len(listed(ferry)["dead_letters"]), 2, timeout_seconds=60)

    told = listed(ferry)
    assert [letter["id"] for letter in told["dead_letters"]] == [f"{failing}-0-0@{group}", f"{topic}-0-0@{group}"]
    assert (told["topics"], told["absent_topics"]) == ([f"{topic}.dlq", f"{failing}.dlq"], [])
    assert [letter["reason"] for letter in told["dead_letters"]] == ["ValueError", "not-json"]
    (invalid,) = listed(ferry, "--reason", "not-json", "--since", "1h")["dead_letters"]
    assert (invalid["group"], invalid["origin"]["topic"], invalid["origin"]["offset"]) == (group, topic, 0)
    assert listed(ferry, "--text", "NO SUCH ORDER")["dead_letters"][0]["id"] == f"{failing}-0-0@{group}"
    assert listed(ferry, "--text", "nowhere")["dead_letters"] == []
    assert listed(ferry, "--topic", failing)["topics"] == [f"{failing}.dlq"]

    (whole,) = shown(ferry, f"{topic}-0-0@{group}")["dead_letters"]
    assert (whole["key"], whole["value"]) == ("key", "\x1b[2Jbroken")
    assert whole["headers"] == [["trace", "\\xff"], ["none", None]]
    by_place = shown(ferry, f"{topic}.dlq-0-0")
    assert by_place["dead_letters"] == [whole]
    people = ferry.run("-m", "ferry_console", "dead-letters", "show", f"{topic}-0-0@{group}")
    assert people.returncode == 0
    assert r"  value       \x1b[2Jbroken" in people.stdout
    assert "\x1b" not in people.stdout
    assert routed.exists()


def test_ids_and_topics_that_are_not_there(kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str) -> None:
    """Are told, and none is made; a Kafka that is away is exit code 3."""
    assert listed(ferry, code=1)["absent_topics"] == [f"{topic}.dlq"]
    assert shown(ferry, f"{topic}-0-0@{group}", code=1)["dead_letters"] == []
    assert end_offsets(kafka.bootstrap_servers, f"{topic}.dlq") == {}
    create_topic(kafka.bootstrap_servers, f"{topic}.dlq")
    assert listed(ferry)["dead_letters"] == []
    for words in (["list"], ["show", f"{topic}-0-0"]):
        away = ferry.run(
            "-m", "ferry_console", "dead-letters", *words, settings={"KAFKA_BOOTSTRAP_SERVERS": NOBODY_THERE}
        )
        assert (away.returncode, away.stdout) == (3, "")
        assert "KAFKA_BOOTSTRAP_SERVERS" in away.stderr


def test_reading_changes_nothing(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Kafka knows no group of the command's, and the topic holds what it held."""
    write(kafka, topic, *[(offset, now_ms()) for offset in range(20)])
    before = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    assert len(listed(ferry)["dead_letters"]) == 20
    shown(ferry, f"{topic}-0-3")
    assert read_all(kafka.bootstrap_servers, f"{topic}.dlq") == before
    # Its destructor would break the request off.
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    groups = admin.list_consumer_groups().result(15.0)
    assert not groups.errors
    assert [found.group_id for found in groups.valid if found.group_id.startswith("ferry-")] == []


@pytest.fixture
def log(kafka: LocalKafka) -> Iterator[TopicLog]:
    """Kafka's client."""
    log = TopicLog(ConsumerSettings(kafka_bootstrap_servers=kafka.bootstrap_servers), "ferry-tests")
    yield log
    log.close()


def now_ms() -> int:
    """The present."""
    return int(time.time() * 1000)


def write(kafka: LocalKafka, topic: str, *letters: tuple[int, int], partitions: int = 1) -> None:
    """Write dead letters of these offsets, each with the time at which it was written, in turns into all partitions."""
    create_topic(kafka.bootstrap_servers, f"{topic}.dlq", partitions)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 5})
    for number, (offset, written_ms) in enumerate(letters):
        headers: list[tuple[str, str | bytes | None]] = [
            ("__dlq.errors.topic", topic.encode()),
            ("ferry.reason", b"rare" if offset % 1_000 == 500 else b"invalid"),
            ("ferry.task-id", f"{topic}-0-{offset}".encode()),
        ]
        producer.produce(f"{topic}.dlq", b"{}", headers=headers, timestamp=written_ms, partition=number % partitions)
        producer.poll(0)
    assert producer.flush(30) == 0


def read(log: TopicLog, topic: str, wanted: LetterFilter, limit: int = 50, seconds: float = 30.0) -> LetterList:
    """Read one topic."""
    return read_letters(log, [f"{topic}.dlq"], wanted, limit, seconds)


def numbers(found: LetterList) -> list[int]:
    """The offsets of the records that became these letters."""
    return [int((letter.task_id or "").rpartition("-")[2]) for letter in found.found]


def test_of_many_only_what_is_asked_for_is_read(kafka: LocalKafka, log: TopicLog, topic: str) -> None:
    """The end of the topic, or a span of time, which Kafka finds; and a rare one from the end backwards."""
    begin = now_ms() - 10 * HOUR_MS
    write(kafka, topic, *[(offset, begin + offset * 1_000) for offset in range(6_000)], partitions=3)
    newest = read(log, topic, LetterFilter())
    assert numbers(newest) == list(range(5_999, 5_949, -1))
    assert (newest.more, newest.complete, newest.read) == (True, True, 3 * FIRST_WINDOW)
    span = read(log, topic, LetterFilter(since_ms=begin + 3_000_000, until_ms=begin + 3_009_000))
    assert numbers(span) == list(range(3_009, 2_999, -1))
    assert 10 <= span.read <= 10 + CLOCK_MARGIN_MS // 1_000
    assert numbers(read(log, topic, LetterFilter(reason="rare"))) == [5_500, 4_500, 3_500, 2_500, 1_500, 500]
    late = read(log, topic, LetterFilter(since_ms=now_ms() + HOUR_MS))
    assert (late.found, late.read, late.complete) == ((), 0, True)
    short = read(log, topic, LetterFilter(reason="nothing"), seconds=0.0)
    assert (short.complete, short.read) == (False, 0)


def test_gaps_and_deleted_beginnings_hold_nothing_up(kafka: LocalKafka, log: TopicLog, topic: str) -> None:
    """Markers and aborted transactions at the end, retention at the beginning."""
    write(kafka, topic, *[(offset, now_ms()) for offset in range(10)])
    values = [text for text in texts(1, 2) if text]
    produce_in_transactions(kafka.bootstrap_servers, f"{topic}.dlq", [(True, values), (False, values)])
    delete_records_before(kafka.bootstrap_servers, f"{topic}.dlq", 4)
    found = read(log, topic, LetterFilter())
    assert sorted(letter.offset for letter in found.found) == [*range(4, 10), 10, 11]
    assert found.complete
