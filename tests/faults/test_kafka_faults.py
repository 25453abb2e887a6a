"""Kafka is killed, stands still, or is away, while messages are on the way."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic
from tests.support.processes_of import continue_process, stop_process, stopped

BEFORE, AFTER = 400, 100


@pytest.fixture
def own_kafka(kafka_jars: None, tmp_path: Path, settings: dict[str, str]) -> Iterator[LocalKafka]:
    """A Kafka that only this test uses, and may hurt."""
    broker = LocalKafka(tmp_path / "kafka")
    broker.start()
    try:
        broker.wait_ready()
        settings["KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        yield broker
    finally:
        broker.stop()


def pid_of(broker: LocalKafka) -> int:
    """Kafka's process."""
    assert broker.process is not None
    return broker.process.pid


def come_back(broker: LocalKafka) -> None:
    """Start it again on its data."""
    broker.start()
    broker.wait_ready()


Fault = tuple[Callable[[LocalKafka], None], Callable[[LocalKafka], None]]
KILLED: Fault = (LocalKafka.kill, come_back)
STOPPED: Fault = (lambda broker: stop_process(pid_of(broker)), lambda broker: continue_process(pid_of(broker)))


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(KILLED, 0.0, id="killed and started at once"),
        pytest.param(KILLED, 10.0, id="away for 10 s"),
        pytest.param(STOPPED, 8.0, id="standing still beyond the session"),
        pytest.param(KILLED, 60.0, id="away for a minute", marks=[pytest.mark.long]),
        pytest.param(STOPPED, 60.0, id="standing still for a minute", marks=[pytest.mark.long]),
    ],
)
def test_nothing_is_lost_or_repeated_when_kafka_goes_and_comes_back(
    own_kafka: LocalKafka, ferry: FerryProcesses, topic: str, fault: Fault, seconds: float
) -> None:
    """Tasks go on meanwhile; what they did is committed afterwards, and the rest of the log follows."""
    create_topic(own_kafka.bootstrap_servers, topic, partitions=2)
    acting = Acting(ferry)
    # A small limit keeps a part of the log waiting in Kafka.
    consumer = acting.consumer(
        settings={
            "CONSUMER_SESSION_TIMEOUT_MS": "6000",
            "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": "50",
            "CONSUMER_INTAKE_MAX_MESSAGES": "20",
        }
    )
    acting.worker()
    acting.produce(acts(BEFORE, seconds=0.02))
    eventually(lambda: acting.done().total() > 20, expected=True)
    hurt, heal = fault
    hurt(own_kafka)
    hurt_at, done_before = time.monotonic(), acting.done().total()
    assert 0 < done_before < BEFORE
    eventually(lambda: acting.done().total() > done_before, expected=True)
    # The length of the outage is the fault: nothing to wait for.
    time.sleep(max(0.0, hurt_at + seconds - time.monotonic()))
    heal(own_kafka)
    healed_at = time.monotonic()
    acting.produce(acts(AFTER, first=BEFORE), idempotent=True)
    eventually(lambda: acting.done().total(), BEFORE + AFTER, timeout_seconds=60)
    print(f"everything had run {time.monotonic() - healed_at:.1f} s after Kafka was back")
    acting.settle()
    acting.assert_accounted()
    assert set(acting.started().values()) == {1}
    assert acting.started().total() == BEFORE + AFTER
    assert consumer.running


STOP_LIMIT_SECONDS = 25.0


def test_a_consumer_stops_within_seconds_while_kafka_stands_still(
    own_kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Its last commit would wait without end; the ledger knows what is done, and the next consumer goes on."""
    create_topic(own_kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    consumer = acting.consumer(settings={"CONSUMER_SESSION_TIMEOUT_MS": "6000"})
    worker = acting.worker()
    acting.produce(acts(20, "wait"))
    eventually(acting.in_flight, 20)
    with stopped(pid_of(own_kafka)):
        acting.release()
        eventually(lambda: acting.done().total(), 20)
        consumer.send_signal(signal.SIGTERM)
        stopping_at = time.monotonic()
        assert consumer.wait(STOP_LIMIT_SECONDS) == 0
        print(f"it stopped within {time.monotonic() - stopping_at:.1f} s")
    assert worker.running
    acting.consumer("next").wait_for_text(rf"{topic}-0: from offset 20 \(continued from the ledger")
    eventually(lambda: committed_offsets(own_kafka.bootstrap_servers, acting.group, topic), {0: 20})
    assert set(acting.started().values()) == {1}


class ForgetfulKafka(LocalKafka):
    """Forgets the offsets of a group without members after a minute, the shortest that Kafka knows."""

    def _server_properties(self) -> str:
        shortest = "offsets.retention.minutes=1\noffsets.retention.check.interval.ms=1000\n"
        return super()._server_properties() + shortest


@pytest.mark.long
def test_the_ledger_wins_when_kafka_has_forgotten_the_offsets(
    kafka_jars: None, ferry: FerryProcesses, topic: str, tmp_path: Path
) -> None:
    """A group that was away for longer than `offsets.retention.minutes` goes on where it was, and repeats nothing."""
    broker = ForgetfulKafka(tmp_path / "kafka")
    broker.start()
    try:
        broker.wait_ready()
        ferry.settings["KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        create_topic(broker.bootstrap_servers, topic)
        acting = Acting(ferry)
        consumer = acting.consumer(settings={"CONSUMER_OFFSET_RESET": "latest"})
        consumer.wait_for_text(rf"{topic}-0: from offset 0")
        worker = acting.worker()
        acting.produce(acts(20))
        eventually(lambda: committed_offsets(broker.bootstrap_servers, acting.group, topic), {0: 20})
        worker.stop()
        acting.produce(acts(30, first=20))
        eventually(acting.in_flight, 30)
        consumer.kill()
        acting.produce(acts(10, first=50))
        forgotten: dict[int, int] = {}
        eventually(
            lambda: committed_offsets(broker.bootstrap_servers, acting.group, topic), forgotten, timeout_seconds=150
        )
        assert acting.in_flight() == 30
        acting.consumer("next").wait_for_text(rf"{topic}-0: from offset 50 \(continued from the ledger")
        acting.worker(name="next-worker")
        acting.settle()
        acting.assert_accounted()
        assert acting.started() == Counter(places(range(60)))
    finally:
        ferry.stop_all()
        broker.stop()
