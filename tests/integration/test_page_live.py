"""The live page over a live system: messages on their way as they are sent, under load, and dead letters replayed."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import pytest
from confluent_kafka import Message, Producer

from ferry_console.local.kafka import LocalKafka
from tests.integration.worker_harness import QUICK_START
from tests.support.browser import Browser, browser
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic, end_offsets, produce
from tests.support.page_process import share_of_a_core, start_page
from tests.support.recording import Recording
from tests.support.task_routes import route

RATE = 300
MESSAGES = 15
AT_ONCE_SECONDS = 1.0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with browser() as started:
        yield started


@pytest.fixture
def producer(kafka: LocalKafka) -> Producer:
    """Sends at once."""
    return Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})


def sent(producer: Producer, topic: str, partition: int, value: bytes) -> int:
    """Send one message; returns its offset, as Kafka acknowledged it."""
    offsets: list[int] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None
        offsets.append(message.offset() or 0)

    producer.produce(topic, value, partition=partition, on_delivery=delivered)
    assert producer.flush(10) == 0
    return offsets[0]


def follow(page: Browser, task_id: str) -> None:
    """As somebody who types an id."""
    page.script(
        "const it = document.querySelector('#message'); it.value = arguments[0];"
        "document.querySelector('#trace-form').requestSubmit()",
        task_id,
    )


def steps(page: Browser) -> dict[str, str]:
    """The steps of the way, and how far each is."""
    told: dict[str, str] = page.script(
        "return Object.fromEntries([...document.querySelectorAll('#trace-way li')]"
        ".map((item) => [item.dataset.name, item.dataset.reached]))"
    )
    return told


def test_a_message_is_seen_within_a_second_under_load(
    kafka: LocalKafka, ferry: FerryProcesses, chromium: Browser, producer: Producer, topic: str, group: str
) -> None:
    """At 300 messages a second, known as it is sent and done as its task ran; and that at less than 5 % of a core."""
    create_topic(kafka.bootstrap_servers, topic, partitions=3)
    ferry.consumer().wait_for_text("from offset")
    recording = Recording(ferry)
    recording.worker().wait_for_text("ready\\.", 60.0)
    process, _, link = start_page(ferry)
    chromium.driver.get(link)
    chromium.wait_for_text("#connection", "live")
    quiet = end_offsets(kafka.bootstrap_servers, topic)
    load = ["--count", "1000000", "--rate", str(RATE), "--key", "load", '{"text": "load"}']
    ferry.start("load", "-m", "ferry_producer", *load)
    eventually(lambda: float(_done_per_second(chromium)) > RATE * 0.5, True, 60.0)
    now = end_offsets(kafka.bootstrap_servers, topic)
    partition = next(number for number in now if now[number] == quiet[number])

    known: list[float] = []
    done: list[float] = []
    for number in range(MESSAGES):
        task_id = f"{topic}-{partition}-{now[partition] + number}@{group}"
        follow(chromium, task_id)
        chromium.wait_for_text("#trace-answer", f"{task_id}: not in Kafka: the log ends before it")
        value = json.dumps({"text": f"watched {number}"}).encode()
        assert sent(producer, topic, partition, value) == now[partition] + number
        way = _watched(chromium, recording, f"watched {number}")
        known.append(way.known_seconds)
        done.append(way.done_seconds)
        assert steps(chromium) == dict.fromkeys(("Kafka", "queued", "running", "done"), "passed")

    assert median(known) < AT_ONCE_SECONDS, known
    assert median(done) < AT_ONCE_SECONDS, done

    follow(chromium, f"{topic}-{partition}-{now[partition] + MESSAGES}@{group}")
    busy = share_of_a_core(process, 10.0)
    assert busy < 0.05, f"{busy:.1%} of a core"
    assert chromium.complaints() == []


@dataclass(frozen=True, slots=True)
class _Way:
    """How long after a message was sent the page knew of it, and how long after its task ran that it is done."""

    known_seconds: float
    done_seconds: float


def _watched(page: Browser, recording: Recording, text: str) -> _Way:
    """Look at the page, as seldom as leaves the worker its cores, until the message that was just sent is done.

    How long it waits for a worker is the machine's affair, so its end counts from when its task ran.
    """
    sent_at = time.monotonic()
    known_at = ran_at = None
    while (now := time.monotonic()) - sent_at < 60:
        # Before the page is asked: what ran since then may be shown already.
        if ran_at is None and recording.runs()[text]:
            ran_at = now
        told = page.text("#trace-answer")
        shown_at = time.monotonic()
        if known_at is None and "not in Kafka" not in told:
            known_at = shown_at
        if known_at is not None and told.endswith(": done"):
            return _Way(known_at - sent_at, shown_at - (ran_at or shown_at))
        time.sleep(0.05)
    raise AssertionError(f"not done within a minute: {page.text('#trace')}")


def _done_per_second(page: Browser) -> str:
    told: str = page.script(
        "const it = document.querySelector('#totals dd'); return it ? it.textContent.replaceAll(',', '') : '0'"
    )
    return "0" if told == "-" else told


@pytest.mark.single_messages
def test_each_step_is_shown(
    kafka: LocalKafka, ferry: FerryProcesses, chromium: Browser, topic: str, group: str
) -> None:
    """In Kafka while nobody consumes, then queued with what is before it, then running, then done, with its times."""
    create_topic(kafka.bootstrap_servers, topic)
    events = route(ferry, {topic: "tests.waiting"})
    produce(kafka.bootstrap_servers, topic, [json.dumps({"number": number}).encode() for number in range(3)])
    _, _, link = start_page(ferry)
    task_id = f"{topic}-0-1@{group}"
    chromium.driver.get("about:blank")
    chromium.driver.get(f"{link}/#trace={task_id}")
    chromium.wait_for_text("#trace-answer", "in Kafka; there is no ledger")
    ferry.consumer()
    chromium.wait_for_text("#trace-answer", f"{task_id}: queued, 1 before it", 60.0)
    assert steps(chromium) == {"Kafka": "passed", "queued": "now", "running": "ahead", "done": "ahead"}
    ferry.worker("-c", "2", *QUICK_START)
    chromium.wait_for_text("#trace-answer", f"{task_id}: running", 60.0)
    assert steps(chromium)["running"] == "now"
    events.with_name("release").touch()
    chromium.wait_for_text("#trace-answer", f"{task_id}: done")
    assert chromium.text("#trace-way").count(" s after") == 3


def test_dead_letters_are_replayed(
    kafka: LocalKafka, ferry: FerryProcesses, chromium: Browser, topic: str, group: str
) -> None:
    """From the list of the page: each once, as a new record that goes its way."""
    create_topic(kafka.bootstrap_servers, topic)
    route(ferry, {topic: "tests.failing"})
    produce(kafka.bootstrap_servers, topic, [b'{"number": 1}', b'{"number": 2}', b"<b>broken</b>"])
    ferry.consumer()
    ferry.worker("-c", "2", *QUICK_START)
    _, _, link = start_page(ferry)
    chromium.driver.get(link)
    eventually(lambda: _listed(chromium), "3 dead letters", 60.0)
    assert "ValueError" in chromium.text("#letters")
    chromium.type("#letters-form [name=reason]", "ValueError")
    eventually(lambda: _listed(chromium), "2 dead letters")
    chromium.click("#letters thead input")
    chromium.click("#replay")
    chromium.wait_for_text("#confirm-go", "Replay 2")
    chromium.click("#confirm-go")
    chromium.wait_for_text("#confirm-told", "replayed 2 dead letters")
    chromium.click("#confirm-cancel")
    # They fail once more, as records of their own; the first two stay.
    eventually(lambda: _listed(chromium), "4 dead letters", 60.0)
    eventually(lambda: end_offsets(kafka.bootstrap_servers, topic), {0: 5})
    chromium.click("#letters tbody tr:last-child input")
    chromium.click("#replay")
    chromium.wait_for_text("#confirm-told", "1 more had been replayed before")
    chromium.click("#confirm-cancel")
    assert f"{topic}-0-3@{group}" in chromium.text("#letters")


def _listed(page: Browser) -> str:
    """Ask for a new list; returns how many there are."""
    page.script("document.querySelector('#letters-told').textContent = ''")
    page.click("#letters-form button")
    eventually(lambda: page.text("#letters-told") not in {"", "reading …"}, True)
    return page.text("#letters-told").partition(" of ")[0]
