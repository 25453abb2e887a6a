"""Tasks that end by force, among neighbours that must not notice."""

from collections import Counter

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, Place, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic

NEIGHBOURS, INDEX = 60, 30
SHORT_LIMIT = {"WORKER_TASK_TIME_LIMIT_SECONDS": "4", "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": "4"}
POISON = "poison: started 3 times and never ended"
TIME_LIMIT = "TimeLimitExceeded: it ran longer than its hard limit of 4 s"


@pytest.mark.parametrize(
    ("act", "error", "starts"),
    [
        ("raise", "ValueError: as its message says", 1),
        ("hungry", "MemoryError", 1),
        ("hang", TIME_LIMIT, 1),
        ("exit", POISON, 3),
        ("segfault", POISON, 3),
        ("killed", POISON, 3),
    ],
)
def test_a_task_that_ends_by_force_is_a_dead_letter_and_its_neighbours_run_once(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, act: str, error: str, starts: int
) -> None:
    """What kills its process is started as often as `WORKER_MAX_CLAIMS` says; the rest fails at once."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer()
    worker = acting.worker(settings=SHORT_LIMIT if act == "hang" else None)
    acting.produce([*acts(INDEX), *acts(1, act, first=INDEX), *acts(NEIGHBOURS - INDEX, first=INDEX + 1)])
    acting.settle()
    acting.assert_accounted()
    (letter,) = acting.dead_letters()
    assert (letter.place, letter.headers["__dlq.errors.message"]) == (Place(0, INDEX), error)
    # The claim that finds out that it is poison counts as well.
    assert letter.headers["__dlq.errors.delivery.count"] == str(starts + (error == POISON))
    assert acting.started() == Counter(places(range(NEIGHBOURS + 1))) + Counter({Place(0, INDEX): starts - 1})
    assert worker.running


def test_a_worker_process_that_has_grown_is_replaced_between_tasks(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Celery's `--max-memory-per-child`: the task that grew it is done, and nothing runs twice."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer()
    worker = acting.worker("--max-memory-per-child=200000", processes=1)
    acting.produce([value for number in range(0, 60, 10) for value in (*acts(9), *acts(1, "grow"))])
    eventually(lambda: acting.started().total() >= 60, expected=True, timeout_seconds=60)
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(60)))
    processes = {acting.process_of(place) for place in places(range(60))}
    assert len(processes) > 1, "no process was replaced"
    assert worker.running
