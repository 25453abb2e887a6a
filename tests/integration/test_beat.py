"""Beat's schedule as users extend it: entries and apps of their own, and what fell due while no beat ran."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferry_shared.ledger.client import connect, server_time_ms
from ferry_worker.last_runs import LastRun, LastRuns
from tests.integration.worker_harness import WorkerBench, wait_until
from tests.support.ferry_processes import FerryProcesses
from tests.support.queue_reader import QueueReader
from tests.support.schedule_watch import ScheduleWatch

TWO_DAYS_US = 48 * 3600 * 1_000_000
MY_SCHEDULE = """
from celery.schedules import crontab
from ferry_worker.celery import app

app.conf.beat_schedule["nightly"] = {"task": "shop.nightly", "schedule": crontab(minute=0, hour=0)}
app.conf.beat_schedule["new"] = {"task": "shop.new", "schedule": 3600.0}
app.add_periodic_task(3600.0, app.signature("shop.hourly"), name="hourly")
"""
SHOP = """
from celery import Celery

app = Celery("shop", broker="{broker}")
app.conf.beat_scheduler = "ferry_worker.shared_schedule:SharedScheduler"
app.conf.beat_schedule = {{"often": {{"task": "shop.often", "schedule": 1.0}}}}
"""


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[WorkerBench]:
    """An empty bench whose directory holds a user's modules."""
    (tmp_path / "my_schedule.py").write_text(MY_SCHEDULE, encoding="utf-8")
    (tmp_path / "shop.py").write_text(SHOP.format(broker=redis_url), encoding="utf-8")
    with WorkerBench(redis_url, tmp_path, FERRY_IMPORTS="my_schedule") as bench:
        yield bench


def test_what_fell_due_while_no_beat_ran_is_sent_once(redis_url: str, bench: WorkerBench) -> None:
    """An entry of FERRY_IMPORTS, crontab or interval, that was missed for two days; a new one waits its interval."""
    runs = LastRuns(connect(redis_url), "", "ferry", "ferry_worker")
    long_ago = LastRun(server_time_ms(bench.client) * 1000 - TWO_DAYS_US, "gone")
    runs.put_back({"nightly": long_ago, "hourly": long_ago})
    beats = [bench.processes.beat(), bench.processes.beat()]
    queue = QueueReader(redis_url)
    wait_until(lambda: len(queue.peek_ids()) >= 2, 60.0)
    for beat in beats:
        beat.wait_for_text("beat: Starting", 60.0)
    # Long enough for two more looks of each beat.
    time.sleep(3.0)
    sent = [task for beat in beats for task in ("nightly", "hourly", "new") if f"task {task} " in beat.output()]
    assert sorted(sent) == ["hourly", "nightly"]
    assert len(queue.peek_ids()) == 2
    assert runs.look().runs["new"].sender == "first"
    runs.close()


def test_two_beats_of_an_app_of_ones_own(bench: WorkerBench) -> None:
    """The scheduler needs nothing else of Ferry; the schedule is kept under the app's name."""
    for name in ("one", "other"):
        bench.processes.start(name, "-m", "celery", "-A", "shop", "beat", "--pidfile=")
    watch = ScheduleWatch(bench.client, "often", "celery", "ferry:beat:ferry:shop")
    watch.wait_for_runs(6)
    assert len(set(watch.task_ids)) == len(watch.runs)
    assert min(watch.gaps) >= 1.0


def test_a_broker_that_is_no_redis_needs_the_ledgers_address(tmp_path: Path) -> None:
    """There is nowhere to keep the last runs: told in a sentence, with exit code 2."""
    (tmp_path / "rabbit.py").write_text(SHOP.format(broker="amqp://localhost"), encoding="utf-8")
    # Without CELERY_BROKER_URL, which Celery prefers to the app's own.
    ended = FerryProcesses(tmp_path, {}).run("-m", "celery", "-A", "rabbit", "beat", "--pidfile=")
    assert ended.returncode == 2, ended.stderr
    assert "FERRY_LEDGER_URL" in ended.stderr
    assert "Traceback" not in ended.stderr
