"""How long nobody dispatches after kill -9 of a consumer: measured, printed and held to a limit."""

import statistics
import time

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, acts
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import create_topic

#: Kills in one test, of which the median counts: a single one can meet a busy moment of the machine.
REPETITIONS = 3


def dispatching_again_after(acting: Acting, killed: FerryProcess, identity: dict[str, str], number: int) -> float:
    """Kill a consumer, start another at once, and return the seconds until a new message is in the queue."""
    in_queue = acting.queued()
    acting.produce(acts(1))
    eventually(acting.queued, in_queue + 1)
    assert acting.in_flight() > 0
    killed.kill()
    killed_at = time.monotonic()
    acting.consumer(f"consumer-{number}", identity)
    acting.produce(acts(1))
    eventually(acting.queued, in_queue + 2, timeout_seconds=40)
    return time.monotonic() - killed_at


@pytest.mark.parametrize(
    ("identity", "limit_seconds"),
    [
        pytest.param({"CONSUMER_INSTANCE_ID": "same"}, 3.0, id="with an instance id"),
        pytest.param({}, 12.0, id="without", marks=[pytest.mark.long]),
    ],
)
def test_a_killed_consumer_is_replaced_in_time(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, identity: dict[str, str], limit_seconds: float
) -> None:
    """Under 3 s with an instance id, under 12 s without; nothing is queued twice."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.consumer("consumer-0", identity).wait_for_text("from offset 0")
    kills = range(1, REPETITIONS + 1)
    taken = [dispatching_again_after(acting, ferry.started[-1], identity, number) for number in kills]
    print("dispatching again after " + ", ".join(f"{seconds:.2f} s" for seconds in taken))
    assert statistics.median(taken) < limit_seconds
    assert (acting.queued(), set(acting.queued_ids().values())) == (2 * REPETITIONS, {1})
