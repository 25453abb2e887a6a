"""Two beats on one schedule of a second: killed, paused, cut off from Redis, and Redis emptied under them."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from ferry_console.local.valkey import LocalValkey
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.schedule_watch import ScheduleWatch

INTERVAL_SECONDS = 1.0
#: A beat that died or stood still costs no run; the rest is what a busy machine may take.
LONGEST_GAP_SECONDS = 2 * INTERVAL_SECONDS


class TwoBeats:
    """Two beats on one Redis, and what they send."""

    def __init__(self, processes: FerryProcesses, client: redis.Redis) -> None:
        """Starts both."""
        self._processes = processes
        self.watch = ScheduleWatch(client)
        self.running = {beat.pid: beat for beat in (self.start(), self.start())}

    def start(self) -> FerryProcess:
        """Start one more."""
        return self._processes.beat()

    def replace(self, pid: int) -> None:
        """Kill a beat at once and start another."""
        self.running.pop(pid).kill()
        successor = self.start()
        self.running[successor.pid] = successor

    @contextmanager
    def paused(self, *pids: int) -> Iterator[None]:
        """Stop these beats in the middle of whatever they do, and let them go on."""
        for pid in pids:
            self.running[pid].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                self.running[pid].send_signal(signal.SIGCONT)

    def check_each_run_was_sent_once(self) -> None:
        """Every run that was recorded is one task, and they are an interval apart."""
        assert self.watch.blind_seconds < INTERVAL_SECONDS, "the test itself stood still, and may have missed a run"
        assert len(self.watch.task_ids) == len(set(self.watch.task_ids)) == len(self.watch.runs)
        assert min(self.watch.gaps) >= INTERVAL_SECONDS
        assert all(beat.running for beat in self.running.values())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalValkey]:
    """A Valkey of this test's own, not yet started."""
    valkey = LocalValkey(tmp_path / "valkey")
    try:
        yield valkey
    finally:
        valkey.stop()


@pytest.fixture
def processes(tmp_path: Path, server: LocalValkey) -> Iterator[FerryProcesses]:
    """Starts beats on that Valkey, with an interval of a second."""
    settings = {"CELERY_BROKER_URL": server.url, "WORKER_STATUS_INTERVAL_SECONDS": f"{INTERVAL_SECONDS:g}"}
    processes = FerryProcesses(tmp_path, settings)
    try:
        yield processes
    finally:
        processes.stop_all()


@pytest.fixture
def client(server: LocalValkey) -> Iterator[redis.Redis]:
    """The test's own look at that Valkey."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def beats(server: LocalValkey, processes: FerryProcesses, client: redis.Redis) -> TwoBeats:
    """Two beats that have begun to send."""
    server.start()
    server.wait_ready()
    beats = TwoBeats(processes, client)
    beats.watch.wait_for_runs(2)
    return beats


def test_two_beats_send_each_run_once(beats: TwoBeats) -> None:
    """Within an interval one of them sends, never both."""
    beats.watch.wait_for_runs(10)
    beats.check_each_run_was_sent_once()
    assert max(beats.watch.gaps) < LONGEST_GAP_SECONDS


def test_a_killed_beat_is_replaced_within_an_interval(beats: TwoBeats) -> None:
    """Whoever sent last is killed, again and again: the other one sends the next run when it is due."""
    for _ in range(3):
        victim = beats.watch.last_sender
        beats.replace(victim)
        beats.watch.wait_for_runs(1)
        assert beats.watch.last_sender != victim
        beats.watch.wait_for_runs(2)
    beats.check_each_run_was_sent_once()
    assert max(beats.watch.gaps) < LONGEST_GAP_SECONDS


def test_a_beat_that_was_paused_sends_nothing_again(beats: TwoBeats) -> None:
    """The other one sends meanwhile; the paused one goes on and repeats none of it."""
    for _ in range(2):
        sleeper = beats.watch.last_sender
        with beats.paused(sleeper):
            beats.watch.wait_for_runs(4)
        assert beats.watch.last_sender != sleeper
        beats.watch.wait_for_runs(2)
    beats.check_each_run_was_sent_once()
    assert max(beats.watch.gaps) < LONGEST_GAP_SECONDS


def test_after_a_pause_of_both_nothing_is_made_up_for(beats: TwoBeats) -> None:
    """Of the runs that were missed one is sent, at once, and then one an interval."""
    with beats.paused(*beats.running):
        beats.watch.look_for(5 * INTERVAL_SECONDS)
    beats.watch.wait_for_runs(3)
    beats.check_each_run_was_sent_once()
    assert len([gap for gap in beats.watch.gaps if gap >= LONGEST_GAP_SECONDS]) == 1


def test_redis_may_start_later_and_be_away(server: LocalValkey, processes: FerryProcesses, client: redis.Redis) -> None:
    """Beats wait for it at start; after it was killed they go on, without a burst."""
    beats = TwoBeats(processes, client)
    for beat in beats.running.values():
        beat.wait_for_text("Connection error: .*Trying again", 60.0)
    server.start()
    server.wait_ready()
    beats.watch.wait_for_runs(3)
    server.kill()
    for beat in beats.running.values():
        beat.wait_for_text("nothing is sent on schedule while Redis is away", 60.0)
    time.sleep(3 * INTERVAL_SECONDS)
    server.start()
    server.wait_ready()
    beats.watch.rest()
    beats.watch.look_until(lambda: all("Redis is back" in beat.output() for beat in beats.running.values()), 60.0)
    beats.watch.wait_for_runs(4)
    beats.check_each_run_was_sent_once()


def test_a_flushed_redis_repeats_no_run(beats: TwoBeats, client: redis.Redis) -> None:
    """FLUSHALL after runs that only their sender knows: the other one waits for what that one remembers."""
    for _ in range(2):
        with beats.paused(beats.watch.last_sender):
            beats.watch.wait_for_runs(2)
            client.flushall()
        beats.watch.wait_for_runs(2)
    beats.check_each_run_was_sent_once()
    assert all("put back from memory" in beat.output() for beat in beats.running.values())
