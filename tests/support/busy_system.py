"""A consumer and a worker at work on a topic to which messages keep coming, a part of them broken."""

import json
import re
from collections import Counter
from typing import Any

from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic, end_offsets
from tests.support.recording import Recording
from tests.support.steady_load import SteadyLoad

QUICK = {"CONSUMER_STATUS_INTERVAL_SECONDS": "0.2", "CONSUMER_DEAD_LETTER_LIMIT_RUN": "0"}
PARTITIONS = 3
WAIT_SECONDS = 60.0


class BusySystem:
    """A consumer and a worker at work on a topic, and the messages that come."""

    def __init__(self, bootstrap_servers: str, ferry: FerryProcesses, topic: str, group: str) -> None:
        self.servers, self.ferry, self.topic, self.group = bootstrap_servers, ferry, topic, group
        create_topic(self.servers, topic, partitions=PARTITIONS)
        self.recording = Recording(ferry)
        self.consumer = self.start_consumer()
        self.worker = self.recording.worker()
        self.load = SteadyLoad(self.servers, topic)

    def start_consumer(self) -> FerryProcess:
        """A consumer that has taken up all partitions."""
        consumer = self.ferry.consumer(**QUICK)
        consumer.wait_for(lambda text: len(re.findall("from offset", text)) == PARTITIONS)
        return consumer

    def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run `ferry WORDS... --json`, which must end with this exit code."""
        done = self.ferry.run("-m", "ferry_console", *words, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def obstacles(self, *words: str) -> list[dict[str, Any]]:
        """What `ferry forget WORDS... --dry-run` says is in the way, whatever its exit code."""
        done = self.ferry.run("-m", "ferry_console", "forget", self.group, "--dry-run", "--json", *words)
        found: list[dict[str, Any]] = json.loads(done.stdout)["obstacles"]
        return found

    def wait_until_at_work(self) -> None:
        """Wait until tasks have run and dead letters have been written."""
        eventually(lambda: len(self.recording.runs()) > 50, expected=True, timeout_seconds=WAIT_SECONDS)
        eventually(lambda: len(self.dead_letters()) > 2, expected=True, timeout_seconds=WAIT_SECONDS)

    def dead_letters(self) -> list[dict[str, Any]]:
        """What is listed."""
        done = self.ferry.run("-m", "ferry_console", "dead-letters", "list", "--json", "--limit", "10000")
        letters: list[dict[str, Any]] = json.loads(done.stdout)["dead_letters"]
        return letters

    def positions(self) -> dict[int, tuple[int, int]]:
        """Position and log end of each partition."""
        return {one["partition"]: (one["position"], one["log_end"]) for one in self.run("status")["partitions"]}

    def assert_accounted_for(self, *skipped: str) -> None:
        """End the load: each valid message has run once, each other one is a dead letter, once; `skipped` texts are
        dead letters instead of having run."""
        self.load.end()
        expected = Counter(f"text {number}" for number in range(self.load.sent)) - Counter(skipped)
        eventually(lambda: len(self.recording.runs()), len(expected), timeout_seconds=WAIT_SECONDS)
        eventually(
            lambda: committed_offsets(self.servers, self.group, self.topic), end_offsets(self.servers, self.topic),
            timeout_seconds=WAIT_SECONDS,
        )  # fmt: skip
        assert self.recording.runs() == expected
        letters = self.dead_letters()
        assert len({letter["id"] for letter in letters}) == len(letters) == self.load.broken + len(skipped)
        assert (
            Counter(letter["reason"] for letter in letters)
            == Counter({"not-json": self.load.broken, "skipped": len(skipped)}) + Counter()
        )
