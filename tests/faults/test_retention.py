"""Kafka deletes records that are still needed."""

import re
import signal
from collections import Counter

import pytest

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from tests.support.acting import Acting, Place, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import delete_records_before
from tests.support.http_get import http_get
from tests.support.kafka_records import committed_offsets, create_topic
from tests.support.queue_reader import QueueReader


def test_a_failed_tasks_dead_letter_is_made_from_what_the_worker_kept(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """The record goes while its task runs; the dead letter has its value, and says where that comes from."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer(settings={"CONSUMER_STATUS_INTERVAL_SECONDS": "0.2"})
    acting.worker()
    values = [*acts(1, "wait_and_raise"), *acts(20, first=1)]
    acting.produce(values)
    eventually(lambda: acting.started()[Place(0, 0)], 1)
    assert acting.in_flight() > 0
    delete_records_before(kafka.bootstrap_servers, topic, 21)
    acting.release()
    acting.settle()
    acting.assert_accounted(places(range(21)))
    assert acting.started() == Counter(places(range(21)))
    (letter,) = acting.dead_letters()
    assert (letter.place, letter.value) == (Place(0, 0), values[0])
    assert letter.headers["ferry.reconstructed"] == "true"
    assert letter.headers["__dlq.errors.message"] == "ValueError: as its message says"


@pytest.mark.single_messages
def test_a_vanished_message_whose_record_is_gone_is_counted_and_told(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Nothing has kept its value: it ends as a dead letter without one, with an error; its neighbours run."""
    create_topic(kafka.bootstrap_servers, topic)
    acting, port = Acting(ferry), free_port()
    settings = {"CONSUMER_REDELIVER_AFTER_SECONDS": "5", "CONSUMER_HTTP_PORT": str(port)}
    consumer = acting.consumer(settings=settings)
    acting.produce(acts(5))
    eventually(acting.queued, 5)
    vanished = QueueReader(ferry.settings["CELERY_BROKER_URL"]).take()
    assert vanished is not None
    delete_records_before(kafka.bootstrap_servers, topic, 3)
    assert acting.in_flight() == 5
    acting.worker()
    consumer.wait_for_text("dead letter: record-gone", timeout_seconds=40)
    acting.settle()
    acting.assert_accounted(places(range(5)), dead=places([0]))
    assert acting.started() == Counter(places(range(1, 5)))
    (letter,) = acting.dead_letters()
    assert (letter.place, letter.value, letter.headers["ferry.reason"]) == (Place(0, 0), None, "record-gone")
    assert re.search(rf"ERROR .*\[?{vanished.task_id}", consumer.output())
    wanted = f'ferry_lost_to_retention_total{{topic="{topic}"}} 1.0'
    eventually(lambda: wanted in http_get(port, "/metrics")[1], expected=True)


def test_retention_that_overtakes_the_position_is_counted_to_the_record(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """A consumer at its limit is overtaken while it runs: what was dispatched runs, what it never saw is counted."""
    create_topic(kafka.bootstrap_servers, topic)
    acting, port = Acting(ferry), free_port()
    limit = {"CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": "20", "CONSUMER_INTAKE_MAX_MESSAGES": "20"}
    consumer = acting.consumer(settings={"CONSUMER_HTTP_PORT": str(port), **limit})
    # More than the client fetches ahead.
    filler = [b" " * 10_000 + value for value in acts(2_000)]
    acting.produce(filler)
    consumer.wait_for_text("in flight, pausing")
    position = acting.in_flight()
    assert 0 < position < 1_900
    delete_records_before(kafka.bootstrap_servers, topic, 1_900)
    acting.worker()
    found = consumer.wait_for_text(rf"{topic}-0: Kafka deleted [0-9]+ records before they were dispatched")
    lost = int(re.findall("[0-9]+ records", found)[0].split()[0])
    acting.settle()
    acting.assert_accounted(set(acting.done()) | places(range(1_900, 2_000)))
    assert acting.started() == Counter(places(range(1_900 - lost)) | places(range(1_900, 2_000)))
    wanted = f'ferry_lost_to_retention_total{{topic="{topic}"}} {float(lost)}'
    assert wanted in http_get(port, "/metrics")[1]


@pytest.mark.single_messages
def test_a_warning_comes_before_the_oldest_in_flight_is_deleted(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """The log's start has moved, and a step as long as the last one would pass it; then it has."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    consumer = acting.consumer(settings={"CONSUMER_STATUS_INTERVAL_SECONDS": "0.2"})
    acting.produce(acts(10))
    eventually(acting.queued, 10)
    queue = QueueReader(ferry.settings["CELERY_BROKER_URL"])
    for _ in range(6):
        task = queue.take()
        assert task is not None
        queue.finish(task)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, acting.group, topic), {0: 6})
    delete_records_before(kafka.bootstrap_servers, topic, 4)
    consumer.wait_for_text(rf"{topic}-0: the oldest message in flight, offset 6, nears the start of Kafka's log")
    assert "has lost its record" not in consumer.output()
    delete_records_before(kafka.bootstrap_servers, topic, 8)
    consumer.wait_for_text(rf"{topic}-0: the oldest message in flight, offset 6, has lost its record in Kafka")
    for task in queue.take_all():
        queue.finish(task)
    acting.settle()
    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait() == 0
    assert consumer.output().count("the oldest message in flight, offset 6") == 2
