"""An operator sets the group's offset while tasks of before are queued and running."""

import signal
from collections import Counter

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import delete_group, set_group_offset
from tests.support.kafka_records import committed_offsets, create_topic

COMMITTED, RUNNING, POSITION, LOG_END = 3, (3, 4), 20, 30


@pytest.fixture
def acting(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> Acting:
    """Some tasks are done, some run, some wait; their consumer has ended, and more messages came since."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    consumer = acting.consumer()
    acting.worker()
    some_done_some_running(acting)
    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait() == 0
    acting.produce(acts(LOG_END - POSITION, first=POSITION))
    return acting


def some_done_some_running(acting: Acting) -> None:
    """One portion after the other, so that those that run are alone also where the others go in batches."""
    acting.produce(acts(COMMITTED))
    eventually(lambda: committed_offsets(acting.servers, acting.group, acting.topic), {0: COMMITTED})
    for offset in RUNNING:
        acting.produce(acts(1, "wait", first=offset))
        eventually(acting.started, Counter(places(range(offset + 1))))
    acting.produce(acts(POSITION - 5, first=5))
    eventually(acting.in_flight, POSITION - COMMITTED)


@pytest.mark.parametrize("offset", [1, 10, 25], ids=["below the committed", "between", "above the position"])
def test_exactly_what_follows_an_operators_offset_runs(
    kafka: LocalKafka, acting: Acting, topic: str, offset: int
) -> None:
    """Tasks that wait from before are gone or stale, those that run come to their end and count for nothing."""
    assert acting.in_flight() == POSITION - COMMITTED
    set_group_offset(kafka.bootstrap_servers, acting.group, topic, offset)
    acting.consumer("next").wait_for_text(rf"{topic}-0: from offset {offset} \(an operator set")
    acting.release()
    acting.settle()
    before = places(range(COMMITTED)) | places(RUNNING)
    assert acting.done() == acting.started() == Counter(before) + Counter(places(range(offset, LOG_END)))
    assert acting.dead_letters() == []


def test_a_group_that_was_deleted_is_continued_from_the_ledger(kafka: LocalKafka, acting: Acting, topic: str) -> None:
    """Kafka has no commit any more: what was dispatched is not dispatched again, and a commit is there at once."""
    delete_group(kafka.bootstrap_servers, acting.group)
    assert committed_offsets(kafka.bootstrap_servers, acting.group, topic) == {}
    assert acting.in_flight() > 0
    acting.consumer("next").wait_for_text(rf"{topic}-0: from offset {POSITION} \(continued from the ledger")
    assert committed_offsets(kafka.bootstrap_servers, acting.group, topic) == {0: COMMITTED}
    acting.release()
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(LOG_END)))
