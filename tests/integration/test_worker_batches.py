"""Batches in real workers: what each message's end is, and what is left when a process, a limit or a stop ends one."""

import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from tests.integration.worker_harness import Partition, WorkerBench, wait_until
from tests.support.processes_of import kill_process

#: As the documentation has it.
MOST_REPEATED_SECONDS = 0.05


class Run(NamedTuple):
    """One run of a message: its number, the task's id, the process, and when it began (s, of the machine's clock)."""

    number: int
    task_id: str
    process: int
    began: float


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[WorkerBench]:
    """An empty bench."""
    with WorkerBench(redis_url, tmp_path, FERRY_IMPORTS="tests.integration.batch_tasks") as bench:
        yield bench


def orders(count: int, deeds: Mapping[int, str] | None = None, *, seconds: float = 0.0) -> list[bytes]:
    """So many messages; `deeds` says what those do that don't just return."""
    ends = deeds or {}
    return [
        orjson.dumps({"number": number, "deed": ends.get(number, "return"), "seconds": seconds})
        for number in range(count)
    ]


def runs(bench: WorkerBench) -> list[Run]:
    """What has begun so far, in order."""
    return [
        Run(int(number), task_id, int(process), float(began))
        for number, task_id, process, began in (event.split() for event in bench.events)
    ]


def ends(partition: Partition) -> dict[str, str]:
    """Of each entry that is left: its error, `retry` while it waits for its next attempt, else `open`."""
    states = {member: partition.state(member) for member in partition.entries}
    return {member: state.get("error") or ("retry" if "due" in state else "open") for member, state in states.items()}


def is_over(partition: Partition) -> bool:
    """Tell whether nothing is under way any more."""
    return "open" not in ends(partition).values() and partition.left_in_transport == (0, 0)


def test_each_message_of_a_batch_ends_by_itself(bench: WorkerBench) -> None:
    """Of a hundred, three fail and two ask for a retry: exactly these are left, and each has run once."""
    partition = bench.partition("tests.batched")
    for _ in range(2):
        partition.dispatch_batch(*orders(100, {0: "raise", 50: "raise", 99: "raise", 1: "retry", 51: "retry"}))
    bench.worker()
    wait_until(lambda: is_over(partition))
    failed = {str(first + number): f"LookupError: no order {number}" for first in (0, 100) for number in (0, 50, 99)}
    retried = dict.fromkeys(("1", "51", "101", "151"), "retry")
    assert ends(partition) == failed | retried
    assert Counter(run.task_id for run in runs(bench)) == Counter(f"orders-0-{offset}" for offset in range(200))


def test_a_batch_of_a_task_that_takes_a_list_is_one_call(bench: WorkerBench) -> None:
    """What it reports fails."""
    partition = bench.partition("tests.listed")
    partition.dispatch_batch(*orders(100, {7: "raise", 70: "raise"}))
    partition.dispatch(*orders(1))
    bench.worker()
    wait_until(lambda: is_over(partition))
    assert ends(partition) == dict.fromkeys(("7", "70"), "MessageFailed: no such order")
    assert sorted((run.number, run.task_id) for run in runs(bench)) == [(1, "orders-0-100"), (100, "orders-0-0..99")]


def test_a_killed_process_repeats_at_most_50_ms_of_its_batch(bench: WorkerBench) -> None:
    """What it had told is done; the rest goes on one by one, and none is lost."""
    partition = bench.partition("tests.batched")
    partition.dispatch_batch(*orders(100, {40: "wait"}, seconds=0.01))
    worker = bench.worker()
    wait_until(lambda: len(bench.events) > 40)
    kill_process(runs(bench)[0].process)
    bench.release()
    wait_until(lambda: is_over(partition))
    assert ends(partition) == {}
    begun = runs(bench)
    times = Counter(run.number for run in begun)
    # The one that was running, and of those before it what began since the ledger was last told.
    twice = [run for run in begun if run.process == begun[0].process and times[run.number] > 1]
    assert times == Counter(range(100)) + Counter(run.number for run in twice)
    assert [run.number for run in twice] == list(range(twice[0].number, 41))
    assert all(before.began - twice[0].began < MOST_REPEATED_SECONDS for before in twice[:-1])
    assert "what is left of it is not run together" in worker.output()


def test_the_hard_limit_ends_only_the_message_that_ran_into_it(bench: WorkerBench) -> None:
    """The batch is put back and goes on one by one: that message alone has the whole limit, and fails."""
    partition = bench.partition("tests.limited")
    partition.dispatch_batch(*orders(4, seconds=0.1)[:2], orjson.dumps({"number": 2, "deed": "hang", "seconds": 60}))
    worker = bench.worker()
    wait_until(lambda: is_over(partition))
    assert ends(partition) == {"2": "TimeLimitExceeded: it ran longer than its hard limit of 2 s"}
    assert Counter(run.number for run in runs(bench)) == {0: 1, 1: 1, 2: 2}
    assert "[orders-0-0..2] the batch ran longer than its hard limit" in worker.output()
    assert "[orders-0-2] Hard time limit (2s) exceeded" in worker.output()


def test_at_half_of_the_soft_limit_the_rest_goes_on_one_by_one(bench: WorkerBench) -> None:
    """So no message has less than half of it; each runs once."""
    partition = bench.partition("tests.softly_limited")
    partition.dispatch_batch(*orders(8, seconds=0.3))
    worker = bench.worker()
    wait_until(lambda: is_over(partition))
    assert ends(partition) == {}
    begun = runs(bench)
    assert Counter(run.number for run in begun) == Counter(range(8))
    together = [run for run in begun if run.process == begun[0].process and run.began < begun[0].began + 1.0]
    assert len(together) <= 4
    assert f"[orders-0-0..7] the batch ends: {8 - len(together)} of its messages go on one by one" in worker.output()


def test_the_soft_limit_in_a_message_lets_it_go_on_alone(bench: WorkerBench) -> None:
    """It took all that was left of the others' time; by itself it has failed."""
    partition = bench.partition("tests.softly_limited")
    partition.dispatch_batch(*orders(2), orjson.dumps({"number": 2, "seconds": 8}))
    bench.worker()
    wait_until(lambda: is_over(partition))
    assert ends(partition) == {"2": "retry"}
    stored = orjson.loads(partition.payload("2"))
    partition.push(partition.message("2", orjson.dumps({"number": 2, "seconds": 8}), token="1.2"))
    assert stored["retries"] == 0
    # Its retry is queued by the consumer; here by hand.
    wait_until(lambda: "error" in partition.state("2"))
    assert ends(partition) == {"2": "SoftTimeLimitExceeded"}


def test_a_warm_shutdown_lets_a_batch_end(bench: WorkerBench) -> None:
    """It isn't torn apart; nothing of it is left, and nothing runs twice."""
    partition = bench.partition("tests.batched")
    partition.dispatch_batch(*orders(100, seconds=0.02))
    worker = bench.worker()
    wait_until(lambda: len(bench.events) >= 10)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_text("Warm shutdown")
    assert worker.wait() == 0
    assert Counter(run.number for run in runs(bench)) == Counter(range(100))
    assert (ends(partition), partition.left_in_transport) == ({}, (0, 0))


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_batch_without_a_ledger_is_handed_back_until_there_is_one(bench: WorkerBench, pool: str) -> None:
    """By processes that have seen none of its group: a wrong FERRY_LEDGER_URL must not eat messages."""
    partition = bench.partition("tests.batched", group="strangers")
    partition.dispatch_batch(*orders(5))
    head = partition.client.hgetall(partition.keys.head)
    partition.client.delete(partition.keys.head)
    worker = bench.worker("-P", pool)
    worker.wait_for_text("the message goes back to the queue")
    assert bench.events == []
    partition.client.hset(partition.keys.head, mapping=head)  # type: ignore[arg-type]  # bytes in, bytes out
    wait_until(lambda: is_over(partition))
    assert Counter(run.number for run in runs(bench)) == Counter(range(5))
