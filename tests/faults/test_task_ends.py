"""Tasks that end by force, among neighbours that must not notice."""

from collections import Counter

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, Place, acts, places
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic
from tests.support.with_batches import WITH_BATCHES

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
    # In its batch it is started once more, and what had run before it, a moment ago, is repeated.
    together = WITH_BATCHES and act not in {"raise", "hungry"}
    before = places(range(INDEX)) if together else set()
    acting.assert_accounted(repeated=before)
    (letter,) = acting.dead_letters()
    assert (letter.place, letter.headers["__dlq.errors.message"]) == (Place(0, INDEX), error)
    # The claim that finds out that it is poison counts as well.
    assert letter.headers["__dlq.errors.delivery.count"] == str(starts + (error == POISON))
    started = acting.started()
    assert started[Place(0, INDEX)] == starts + together
    assert all(started[place] == 1 for place in places(range(NEIGHBOURS + 1)) - before - {Place(0, INDEX)})
    assert worker.running


def test_a_worker_process_that_has_grown_is_replaced_between_tasks(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Celery's `--max-memory-per-child`: the task that grew it is done, and nothing runs twice."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer()
    worker = acting.worker("--max-memory-per-child=200000", processes=1)
    for _ in range(2):
        acting.produce([value for _ in range(3) for value in (*acts(9), *acts(1, "grow"))])
        # A batch is one task for Celery: its process is replaced behind it.
        acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(60)))
    processes = {acting.process_of(place) for place in places(range(60))}
    assert len(processes) > 1, "no process was replaced"
    assert worker.running
