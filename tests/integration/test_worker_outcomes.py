"""What the ledger, the queue and the log hold after each way in which a task can end; one worker runs them all."""

import itertools
import time
from collections.abc import Callable, Iterator

import orjson
import pytest

from ferry_console.local.valkey import LocalValkey
from tests.integration.worker_harness import Partition, WorkerBench, wait_until

#: From the other end of what `redis_url` hands out.
DATABASE = 1_999

NewPartition = Callable[[str], Partition]


@pytest.fixture(scope="module")
def bench(valkey: LocalValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerBench]:
    """A bench with a running worker."""
    with WorkerBench(valkey.database_url(DATABASE), tmp_path_factory.mktemp("outcomes")) as bench:
        bench.worker()
        yield bench


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """Numbers that make each test's topic its own."""
    return itertools.count()


@pytest.fixture
def partition(bench: WorkerBench, numbers: Iterator[int]) -> NewPartition:
    """Makes the ledger of a new topic whose messages become the task of that name."""
    return lambda task: bench.partition(task, f"topic-{next(numbers)}")


def lines_of(bench: WorkerBench, topic: str) -> list[str]:
    """Return the worker's log lines about a topic's tasks."""
    return [line for line in bench.processes.started[0].lines() if f"[{topic}-0-" in line]


def ended(partition: Partition) -> bool:
    """Tell whether nothing is left of it in the ledger and the transport."""
    return not partition.entries and partition.left_in_transport == (0, 0)


def failed(partition: Partition, member: str = "0") -> bool:
    """Tell whether an entry has failed and its message has been acknowledged."""
    return "error" in partition.state(member) and partition.left_in_transport == (0, 0)


def test_a_task_that_returns_is_done(bench: WorkerBench, partition: NewPartition) -> None:
    """The function gets the model, and nothing is left of the entry or the message."""
    orders = partition("tests.order")
    orders.dispatch(b'{"number": 1}', b'{"number": 2}')
    wait_until(lambda: ended(orders))
    assert sorted(event for event in bench.events if event.startswith("order ")) == ["order Order 1", "order Order 2"]
    assert not bench.client.exists(orders.keys.state)


def test_lines_of_a_task_carry_its_id(bench: WorkerBench, partition: NewPartition) -> None:
    """Whatever a task logs, and nothing else, is one line with the task id."""
    orders = partition("tests.order")
    orders.dispatch(b'{"number": 3}')
    wait_until(lambda: ended(orders))
    wait_until(lambda: lines_of(bench, orders.topic))
    assert [line.split("] ")[1] for line in lines_of(bench, orders.topic)] == ["order taken"]


def test_a_plain_value_arrives_exactly(bench: WorkerBench, partition: NewPartition) -> None:
    """Without annotation the value is plain JSON: big integers, and keys that kombu would interpret."""
    plain = partition("tests.plain")
    plain.dispatch(b'{"n": 123456789012345678901234567890, "__type__": "datetime", "__value__": "x"}')
    wait_until(lambda: ended(plain))
    event = "plain {'n': 123456789012345678901234567890, '__type__': 'datetime', '__value__': 'x'} 2"
    assert event in bench.events


def test_a_task_that_raises_has_failed(bench: WorkerBench, partition: NewPartition) -> None:
    """The entry stays with error and payload for the dead letter, and the message is acknowledged."""
    failing = partition("tests.failing")
    failing.dispatch(b'{"number": 4}')
    wait_until(lambda: failed(failing))
    assert failing.state("0")["error"] == r"ValueError: no such order \ud800: 4"
    assert failing.payload("0") == b'{"number": 4}'
    assert failing.entries == ["0"]
    assert any(f"[{failing.topic}-0-0] Task tests.failing" in line for line in lines_of(bench, failing.topic))


def test_a_payload_that_does_not_fit_has_failed(bench: WorkerBench, partition: NewPartition) -> None:
    """A payload that the task's model rejects becomes a dead letter, with one line and without its value in the log."""
    orders = partition("tests.order")
    orders.dispatch(b'{"number": "secret"}')
    wait_until(lambda: failed(orders))
    assert orders.state("0")["error"].startswith("InvalidPayload: number: Input should be a valid integer")
    wait_until(lambda: lines_of(bench, orders.topic))
    (line,) = lines_of(bench, orders.topic)
    assert "secret" not in line


def test_a_retry_waits_in_the_ledger(bench: WorkerBench, partition: NewPartition) -> None:
    """`self.retry` stores the changed message with its due time, and nothing is queued for it."""
    retrying = partition("tests.retrying")
    retrying.dispatch(b'{"number": 5}')
    wait_until(lambda: "due" in retrying.state("0") and retrying.left_in_transport == (0, 0))
    state = retrying.state("0")
    assert state["token"] == "1.2"
    assert 0 < state["due"] - time.time() * 1000 <= 3_000
    stored = orjson.loads(retrying.payload("0"))
    (payload,), kwargs, _ = orjson.loads(stored["body"])
    assert (orjson.loads(payload), kwargs) == ({"number": 6, "note": "again"}, {})
    assert (stored["retries"], stored["timestamp_ms"]) == (1, 1_700_000_000_000)


def test_the_last_retry_fails(partition: NewPartition) -> None:
    """At `max_retries` the exception that `retry` was given is the failure."""
    retrying = partition("tests.retrying")
    retrying.record(b'{"number": 8}')
    retrying.push(retrying.message("0", b'{"number": 8}', retries=2))
    wait_until(lambda: failed(retrying))
    assert retrying.state("0")["error"] == "ValueError: not yet"


def test_autoretry_waits_in_the_ledger(partition: NewPartition) -> None:
    """`autoretry_for` records a retry with the task's delay and its unchanged payload."""
    retrying = partition("tests.autoretrying")
    retrying.dispatch(b'{"number": 9}')
    wait_until(lambda: "due" in retrying.state("0") and retrying.left_in_transport == (0, 0))
    assert 3_000 < retrying.state("0")["due"] - time.time() * 1000 <= 7_000
    assert orjson.loads(orjson.loads(retrying.payload("0"))["body"])[0] == ['{"number": 9}']


def test_ignore_is_done(partition: NewPartition) -> None:
    """A task that raises Ignore has handled its message."""
    ending = partition("tests.ending")
    ending.dispatch(b'"ignore"')
    wait_until(lambda: ended(ending))


def test_reject_has_failed(partition: NewPartition) -> None:
    """A task that rejects its message for good makes it a dead letter."""
    ending = partition("tests.ending")
    ending.dispatch(b'"reject"')
    wait_until(lambda: failed(ending))
    assert ending.state("0")["error"].startswith("Reject: ")


def test_reject_with_requeue_runs_again_until_it_is_poison(bench: WorkerBench, partition: NewPartition) -> None:
    """A task that puts its message back starts again, as often as a task may start."""
    ending = partition("tests.ending")
    ending.dispatch(b'"requeue"')
    wait_until(lambda: failed(ending))
    assert bench.events.count("ending requeue") == 3
    assert ending.state("0")["error"].startswith("poison: started 3 times")


def test_a_task_without_memory_has_failed(bench: WorkerBench, partition: NewPartition) -> None:
    """MemoryError in a task is a failure like any other, and no reason for the worker to end."""
    ending = partition("tests.ending")
    ending.dispatch(b'"memory"', b'"ignore"')
    wait_until(lambda: failed(ending) and ending.entries == ["0"])
    assert ending.state("0")["error"] == "MemoryError"
    assert bench.processes.started[0].running


def test_a_task_that_ends_its_process_runs_again(bench: WorkerBench, partition: NewPartition) -> None:
    """SystemExit in a task is a lost process: released, requeued, and poison in the end."""
    ending = partition("tests.ending")
    ending.dispatch(b'"exit"')
    wait_until(lambda: failed(ending), 60.0)
    assert bench.events.count("ending exit") == 3


def test_a_second_copy_does_not_run(bench: WorkerBench, partition: NewPartition) -> None:
    """While one copy runs, another is acknowledged with one line; the claim covers the hard limit and its margin."""
    waiting = partition("tests.waiting")
    waiting.dispatch(b'{"number": 10}')
    bench.wait_for_event("waiting 10")
    assert 300_000 < waiting.state("0")["lease"] - time.time() * 1000 <= 315_000
    waiting.push(waiting.message("0", b'{"number": 10}', copy=2))
    wait_until(lambda: any("another worker is running it" in line for line in lines_of(bench, waiting.topic)))
    wait_until(lambda: waiting.left_in_transport == (0, 1))
    bench.release()
    wait_until(lambda: ended(waiting))
    assert bench.events.count("waiting 10") == 1


def test_a_copy_of_a_done_task_does_not_run(bench: WorkerBench, partition: NewPartition) -> None:
    """A copy that the transport restored late is acknowledged with one line."""
    orders = partition("tests.order")
    orders.dispatch(b'{"number": 11}')
    wait_until(lambda: ended(orders))
    orders.push(orders.message("0", b'{"number": 11}', copy=2))
    wait_until(lambda: any("not run: it is done" in line for line in lines_of(bench, orders.topic)))
    wait_until(lambda: ended(orders))
    assert bench.events.count("order Order 11") == 1


def test_a_stale_token_does_not_run(bench: WorkerBench, partition: NewPartition) -> None:
    """A copy of an attempt that has passed is acknowledged, and the entry stays for the later one."""
    orders = partition("tests.order")
    orders.acquire()
    orders.record(b'{"number": 12}')
    orders.push(orders.message("0", b'{"number": 12}', token="1.1"))
    wait_until(lambda: any("a later copy or attempt" in line for line in lines_of(bench, orders.topic)))
    wait_until(lambda: orders.left_in_transport == (0, 0))
    assert orders.entries == ["0"]
    assert "order Order 12" not in bench.events


def test_a_lost_ledger_skips_its_messages(bench: WorkerBench, partition: NewPartition) -> None:
    """After FLUSHALL a message is skipped with one line: the consumer dispatches it again."""
    known = partition("tests.order")
    known.dispatch(*(b'{"number": 14}' for _ in range(20)))
    wait_until(lambda: ended(known))
    lost = partition("tests.order")
    bench.client.delete(*lost.keys.all)
    lost.push(lost.message("0", b'{"number": 15}'))
    wait_until(lambda: any("its ledger is gone" in line for line in lines_of(bench, lost.topic)))
    wait_until(lambda: ended(lost))
    assert "order Order 15" not in bench.events


def test_a_group_that_was_never_seen_goes_back_to_the_queue(bench: WorkerBench, numbers: Iterator[int]) -> None:
    """A wrong FERRY_LEDGER_URL must not eat messages: they stay, and an ERROR names the variable."""
    stranger = bench.partition("tests.order", f"topic-{next(numbers)}", group="strangers", queue="ferry.status")
    head = stranger.client.hgetall(stranger.keys.head)
    stranger.client.delete(stranger.keys.head)
    stranger.push(stranger.message("0", b'{"number": 16}'))
    wait_until(lambda: "FERRY_LEDGER_URL" in bench.processes.started[0].output())
    stranger.client.hset(stranger.keys.head, mapping=head)  # type: ignore[arg-type]  # bytes in, bytes out
    wait_until(lambda: any("not run: it is done" in line for line in lines_of(bench, stranger.topic)))


def test_an_unknown_task_counts_as_a_start(bench: WorkerBench, partition: NewPartition) -> None:
    """A task that this worker doesn't know is left for another one, and fails when nobody knows it."""
    unknown = partition("tests.unknown")
    unknown.dispatch(b'{"number": 18}')
    for starts in (1, 2, 3):
        wait_until(lambda starts=starts: unknown.state("0").get("claims") == starts)  # type: ignore[misc]
        wait_until(lambda: "owner" not in unknown.state("0") and unknown.left_in_transport == (0, 0))
        unknown.push(unknown.message("0", b'{"number": 18}', copy=starts + 1))
    wait_until(lambda: failed(unknown))
    assert unknown.state("0")["error"] == "NotRegistered: no worker that received it knows the task 'tests.unknown'"


def test_a_body_that_can_not_be_decoded_has_failed(partition: NewPartition) -> None:
    """Celery drops such a message; its entry becomes a dead letter all the same."""
    orders = partition("tests.order")
    orders.record(b"{}")
    message = orjson.loads(orders.message("0", b"{}"))
    message["body"] = "bm90IEpTT04="
    orders.push(orjson.dumps(message))
    wait_until(lambda: failed(orders))
    assert orders.state("0")["error"].startswith("InvalidTaskError: ")


def test_a_revoked_task_has_failed(bench: WorkerBench, partition: NewPartition) -> None:
    """What an operator revokes by `celery control revoke` becomes a dead letter."""
    orders = partition("tests.order")
    revoked = bench.processes.run(
        "-m", "celery", "-A", "ferry_worker", "control", "revoke", f"{orders.topic}-0-0", timeout_seconds=30.0
    )
    assert revoked.returncode == 0, revoked.stderr
    orders.dispatch(b'{"number": 19}')
    wait_until(lambda: failed(orders))
    assert orders.state("0")["error"] == "TaskRevokedError: revoked"


def test_a_task_without_header_is_a_plain_celery_task(bench: WorkerBench, partition: NewPartition) -> None:
    """Called by `delay`, the same task runs as Celery has it, and the ledger hears nothing."""
    orders = partition("tests.order")
    called = bench.processes.run(
        "-c", "from tests.integration.worker_tasks import handle_plain; handle_plain.delay([1], factor=3)"
    )
    assert called.returncode == 0, called.stderr
    bench.wait_for_event("plain [1] 3")
    wait_until(lambda: orders.left_in_transport == (0, 0))
