"""The whole way on real parts: producer, Kafka, consumer, Valkey, worker."""

import string

from ferry_console.local.kafka import LocalKafka
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic
from tests.support.scenarios import account_for_valid_and_invalid, kill_the_consumer_midway, print_every_line


def test_every_message_is_accounted_for(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """1,000 valid and 20 invalid ones over two partitions: done, dead, committed, and an empty ledger."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    account_for_valid_and_invalid(ferry, topic, valid=1_000, invalid=20, seconds=60)


def test_a_killed_consumer_loses_and_repeats_nothing(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """kill -9 in the middle of 2,000, counted by what the task wrote."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    kill_the_consumer_midway(ferry, topic, count=2_000, kills=1, seconds=60)


def test_every_line_of_a_text_is_printed_once(ferry: FerryProcesses) -> None:
    """Lines with anything that a log can hold, through the producer's standard input."""
    odd = ["tab\there", "nul\x00", "\x1b[31mred", '"quoted" \\n {json}', "é☃😀", "{not json", "[1, 2]", "null", " x "]
    lines = [*odd, *(f"{number} {string.printable[number % 90 :].split()[0]}" for number in range(500))]
    print_every_line(ferry, lines, seconds=60)
