"""Tasks that end by force: lost processes, lost workers, time limits, shutdowns, and a Redis that is away."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferry_console.local.valkey import LocalValkey
from tests.integration.worker_harness import WorkerBench, wait_until
from tests.support.short_limits import SHORT_LIMITS


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[WorkerBench]:
    """An empty bench."""
    with WorkerBench(redis_url, tmp_path) as bench:
        yield bench


@pytest.fixture
def bench_alone(own_valkey: LocalValkey, tmp_path: Path) -> Iterator[WorkerBench]:
    """An empty bench on a Valkey of its own."""
    with WorkerBench(own_valkey.url, tmp_path) as bench:
        yield bench


def test_a_killed_child_is_released_and_runs_again_until_it_is_poison(bench: WorkerBench) -> None:
    """A task whose process is killed starts again at once, at most three times, then its message is a dead letter."""
    orders = bench.partition("tests.killed")
    started = time.monotonic()
    orders.dispatch(b'{"number": 1}')
    bench.worker()
    wait_until(lambda: "error" in orders.state("0") and orders.left_in_transport == (0, 0))
    assert time.monotonic() - started < 25.0, "the claims were not released"
    assert bench.events == ["killed 1"] * 3
    assert orders.state("0")["error"] == "poison: started 3 times and never ended"
    assert orders.payload("0") == b'{"number": 1}'


def test_the_hard_time_limit_is_a_failure(bench: WorkerBench) -> None:
    """A task that runs into its hard limit is killed and not started again; the parent records it."""
    orders = bench.partition("tests.slow")
    orders.dispatch(b'{"number": 2}')
    worker = bench.worker()
    wait_until(lambda: "error" in orders.state("0") and orders.left_in_transport == (0, 0))
    assert orders.state("0")["error"] == "TimeLimitExceeded: it ran longer than its hard limit of 2 s"
    assert orders.payload("0") == b'{"number": 2}'
    assert bench.events == ["slow 2"]
    assert "[orders-0-0] Hard time limit (2s) exceeded" in worker.output()


def test_a_killed_workers_tasks_come_back_in_time(bench: WorkerBench) -> None:
    """After kill -9 of a whole worker its task runs elsewhere within the visibility timeout and ten seconds."""
    orders = bench.partition("tests.waiting")
    orders.dispatch(b'{"number": 3}')
    first = bench.worker(**SHORT_LIMITS)
    bench.wait_for_event("waiting 3")
    first.kill()
    killed = time.monotonic()
    bench.release()
    bench.worker(**SHORT_LIMITS)
    wait_until(lambda: not orders.entries, 40.0)
    assert time.monotonic() - killed < 15.0 + 10.0
    assert bench.events == ["waiting 3", "waiting 3", "waited 3"]


def _wait_for_more_events(bench: WorkerBench, count: int) -> None:
    before = len(bench.events)
    wait_until(lambda: len(bench.events) >= before + count)


def test_a_busy_worker_ends_within_seconds(bench: WorkerBench) -> None:
    """Asked to end between two of thousands of short tasks: billiard alone often needs 30 s for that."""
    orders = bench.partition("tests.order")
    orders.dispatch(*(b'{"number": %d}' % number for number in range(9_000)))
    for _ in range(3):
        worker = bench.worker()
        _wait_for_more_events(bench, 500)
        worker.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        assert worker.wait(40.0) == 0
        assert time.monotonic() - asked < 15.0
    assert orders.entries, "the worker was to be asked while it was busy"


def test_sigterm_lets_running_tasks_end(bench: WorkerBench) -> None:
    """A warm shutdown finishes what runs, records it, leaves the rest in the queue and exits with 0."""
    orders = bench.partition("tests.waiting")
    orders.dispatch(*(b'{"number": %d}' % number for number in range(40)))
    worker = bench.worker()
    wait_until(lambda: len(bench.events) == 2)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_text("Warm shutdown")
    bench.release()
    assert worker.wait() == 0
    assert len(orders.entries) < 40
    queued, unacknowledged = orders.left_in_transport
    assert (queued, unacknowledged) == (len(orders.entries), 0)


def test_sigquit_gives_running_tasks_back(bench: WorkerBench) -> None:
    """A cold shutdown ends what runs; another worker runs it again, and nothing has failed."""
    orders = bench.partition("tests.waiting")
    orders.dispatch(*(b'{"number": %d}' % number for number in range(10)))
    worker = bench.worker(**SHORT_LIMITS)
    wait_until(lambda: len(bench.events) == 2)
    worker.send_signal(signal.SIGQUIT)
    worker.wait()
    assert not any("error" in orders.state(member) for member in orders.entries)
    assert len(orders.entries) == 10
    bench.release()
    bench.worker(**SHORT_LIMITS)
    wait_until(lambda: not orders.entries, 40.0)


def test_a_redis_that_was_away_gets_the_outcome(own_valkey: LocalValkey, bench_alone: WorkerBench) -> None:
    """A task that ends while Redis is down waits for it: it is recorded once, and not run again."""
    orders = bench_alone.partition("tests.waiting")
    orders.dispatch(b'{"number": 4}')
    worker = bench_alone.worker()
    bench_alone.wait_for_event("waiting 4")
    own_valkey.stop()
    bench_alone.release()
    worker.wait_for_text("the ledger's Redis is away")
    own_valkey.start()
    own_valkey.wait_ready()
    wait_until(lambda: not orders.entries)
    assert bench_alone.events == ["waiting 4", "waited 4"]
    orders.dispatch(b'{"number": 5}')
    wait_until(lambda: not orders.entries and orders.left_in_transport == (0, 0))
    assert "PendingDeprecation" not in worker.output()


def test_a_redis_that_stays_away_gives_the_message_back(own_valkey: LocalValkey, bench_alone: WorkerBench) -> None:
    """When the outcome can't be recorded in time the message goes back; it runs again, once Redis is there."""
    orders = bench_alone.partition("tests.waiting")
    orders.dispatch(b'{"number": 6}')
    worker = bench_alone.worker(WORKER_REDIS_WAIT_SECONDS="1", **SHORT_LIMITS)
    bench_alone.wait_for_event("waiting 6")
    own_valkey.stop()
    bench_alone.release()
    worker.wait_for_text("the message goes back to the queue: no answer from the ledger to its end")
    own_valkey.start()
    own_valkey.wait_ready()
    wait_until(lambda: not orders.entries, 60.0)
    assert bench_alone.events == ["waiting 6", "waited 6"] * 2
