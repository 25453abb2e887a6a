"""The scenarios of `tests/integration/test_end_to_end.py` at full size: minutes each, so they run by `make scale`."""

import itertools
from pathlib import Path

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic
from tests.support.producer_rate import keep_the_rate
from tests.support.recording import long_lines
from tests.support.scenarios import account_for_valid_and_invalid, kill_the_consumer_midway, print_every_line

pytestmark = pytest.mark.timeout(1_800)

#: Real logs and package texts of a Debian machine, tens of thousands of lines with many repetitions.
REAL_TEXTS = (Path("/var/log/dpkg.log"), Path("/var/log/apt/history.log"), Path("/var/lib/dpkg/status"))
MAX_LINES = 40_000


def test_a_hundred_thousand_messages_are_accounted_for(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """100,000 valid and 1,000 invalid."""
    create_topic(kafka.bootstrap_servers, topic, partitions=4)
    account_for_valid_and_invalid(ferry, topic, valid=100_000, invalid=1_000, seconds=900)


def test_a_consumer_killed_three_times_in_twenty_thousand(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Nothing lost, nothing dispatched twice."""
    create_topic(kafka.bootstrap_servers, topic, partitions=4)
    kill_the_consumer_midway(ferry, topic, count=20_000, kills=3, seconds=600)


def test_every_line_of_real_logs_is_printed_once(ferry: FerryProcesses) -> None:
    """What package managers write, through a pipe."""
    present = [path for path in REAL_TEXTS if path.exists()]
    assert present, "expected one of " + ", ".join(map(str, REAL_TEXTS))
    lines = list(itertools.islice((line for path in present for line in long_lines(path)), MAX_LINES))
    seconds = print_every_line(ferry, lines, seconds=600)
    print(f"{len(lines)} lines in {seconds:.1f} s")


def test_a_minute_at_a_rate(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Within 2 %."""
    keep_the_rate(ferry, kafka, topic, rate=1_000, seconds=60)
