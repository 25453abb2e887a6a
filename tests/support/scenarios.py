"""The whole way, at any size: the same scenario runs small in every test run and large in `make scale`."""

import json
import os
import signal
import time
from collections import Counter

from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import committed_offsets, end_offsets, produce, read_all
from tests.support.queue_reader import QueueReader
from tests.support.recording import Recording


def ledger_is_empty(ferry: FerryProcesses, topic: str, partitions: int) -> bool:
    """Only the heads are left in Redis."""
    queue = QueueReader(ferry.settings["CELERY_BROKER_URL"])
    group = ferry.settings["CONSUMER_GROUP"]
    keys = [LedgerKeys.of("", group, TopicPartition(topic, number)) for number in range(partitions)]
    rest = [name for each in keys for name in (each.inflight, each.state, each.times, each.attention)]
    return queue.client.exists(*rest, "celery", "unacked") == 0


def all_committed(ferry: FerryProcesses, topic: str) -> bool:
    """Committed equals log end, in every partition."""
    servers, group = ferry.settings["KAFKA_BOOTSTRAP_SERVERS"], ferry.settings["CONSUMER_GROUP"]
    ends = end_offsets(servers, topic)
    committed = committed_offsets(servers, group, topic)
    return all(committed.get(number, 0) == end for number, end in ends.items())


def account_for_valid_and_invalid(ferry: FerryProcesses, topic: str, valid: int, invalid: int, seconds: float) -> None:
    """Every valid message runs once, every invalid one is one dead letter, nothing remains."""
    servers = ferry.settings["KAFKA_BOOTSTRAP_SERVERS"]
    recording = Recording(ferry)
    ferry.consumer().wait_for_text(rf"{topic}-\d: from offset")
    recording.worker()
    texts = [f"text {number}" for number in range(valid)]
    broken = [b"broken %d" % number for number in range(invalid)]
    every = valid // invalid
    values: list[bytes | None] = []
    for number, text in enumerate(texts):
        values.append(json.dumps({"text": text}).encode())
        if number % every == 0 and number // every < invalid:
            values.append(broken[number // every])
    produce(servers, topic, values)
    eventually(lambda: recording.runs().total(), valid, timeout_seconds=seconds)
    eventually(lambda: all_committed(ferry, topic), expected=True)
    assert recording.runs() == Counter(texts)
    letters = read_all(servers, f"{topic}.dlq")
    assert Counter(letter.value for letter in letters) == Counter(broken)
    eventually(lambda: ledger_is_empty(ferry, topic, len(end_offsets(servers, topic))), expected=True)


def kill_the_consumer_midway(ferry: FerryProcesses, topic: str, count: int, kills: int, seconds: float) -> None:
    """kill -9 of the consumer while it dispatches: nothing lost, nothing dispatched twice."""
    servers = ferry.settings["KAFKA_BOOTSTRAP_SERVERS"]
    recording = Recording(ferry)
    # Small bites, so that a kill finds it in the middle.
    bites = {"CONSUMER_INTAKE_MAX_MESSAGES": "10", "CONSUMER_INSTANCE_ID": "same"}
    bites["CONSUMER_MAX_IN_FLIGHT_PER_PARTITION"] = str(max(100, count // 20))
    consumer = ferry.consumer(**bites)
    consumer.wait_for_text(rf"{topic}-\d: from offset")
    recording.worker()
    texts = [f"text {number}" for number in range(count)]
    produce(servers, topic, [json.dumps({"text": text}).encode() for text in texts])
    for number in range(kills):
        target = (number + 1) * count // (kills + 2)
        _wait_for_runs(recording, target, seconds)
        consumer = _killed_and_replaced(ferry, consumer, bites)
    _wait_for_runs(recording, count, seconds)
    eventually(lambda: all_committed(ferry, topic), expected=True)
    assert recording.runs() == Counter(texts)
    assert read_all(servers, f"{topic}.dlq") == []


def _wait_for_runs(recording: Recording, count: int, seconds: float) -> None:
    eventually(lambda: recording.runs().total() >= count, expected=True, timeout_seconds=seconds)


def _killed_and_replaced(ferry: FerryProcesses, consumer: FerryProcess, settings: dict[str, str]) -> FerryProcess:
    queue = QueueReader(ferry.settings["CELERY_BROKER_URL"])
    # At its limit in flight it waits until the queue is empty; a kill is to find tasks there.
    eventually(lambda: _stopped_with_tasks_in_the_queue(consumer, queue), expected=True)
    consumer.kill()
    return ferry.consumer("next", **settings)


def _stopped_with_tasks_in_the_queue(consumer: FerryProcess, queue: QueueReader) -> bool:
    consumer.send_signal(signal.SIGSTOP)
    if queue.peek_ids():
        return True
    consumer.send_signal(signal.SIGCONT)
    return False


def print_every_line(ferry: FerryProcesses, lines: list[str], seconds: float) -> float:
    """Every line of a text goes through the producer's standard input and is printed once; returns the seconds."""
    ferry.consumer().wait_for_text("from offset")
    worker = ferry.worker("--concurrency=2", "--without-mingle", "--without-gossip", LOG_FORMAT="json")
    started = time.monotonic()
    sent = ferry.produce("-", standard_input="\n".join(lines) + "\n")
    assert sent.returncode == 0, sent.stderr
    eventually(lambda: _printed(worker).total() >= len(lines), expected=True, timeout_seconds=seconds)
    taken = time.monotonic() - started
    assert _printed(worker) == Counter(lines)
    return taken


def _printed(worker: FerryProcess) -> Counter[str]:
    # Half a line is still being written.
    whole = worker.output().rpartition(os.linesep)[0].splitlines()
    printed = [json.loads(line) for line in whole if line.startswith("{") and '"latency_ms"' in line]
    return Counter(line["text"] for line in printed)
