"""How far the group had committed, and when: asked of Kafka every half second while a run lasts."""

from __future__ import annotations

import time
from bisect import bisect_right
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TextIO

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.repeatedly import repeatedly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

COMMITS_FILE = "commits.tsv"
SAMPLE_SECONDS = 0.5
ANSWER_SECONDS = 5.0


class Sample(NamedTuple):
    """Kafka's answer had come at `at`, and had been asked for `ANSWER_SECONDS` before, or later."""

    at: float
    offset: int


@dataclass(frozen=True)
class Commits:
    """Samples by partition, oldest first; only those that differ from the one before are kept."""

    samples: Mapping[int, Sequence[Sample]]

    def before(self, partition: int, moment: float) -> Sample | None:
        """What had surely been committed at a moment; None where nothing was seen by then."""
        own = self.samples.get(partition, ())
        index = bisect_right(own, moment, key=lambda sample: sample.at)
        return own[index - 1] if index else None


def read_commits(lines: Iterable[str]) -> Commits:
    """Read the sampler's file."""
    samples: dict[int, list[Sample]] = {}
    for line in lines:
        at, partition, offset = line.split("\t")
        samples.setdefault(int(partition), []).append(Sample(float(at), int(offset)))
    return Commits(samples)


class CommitSampler:
    """Writes what changes to `commits.tsv`: time, partition, offset; `running` is a context."""

    def __init__(self, bootstrap_servers: str, group: str, topic: str, directory: Path) -> None:
        # A plain consumer that subscribes to nothing: librdkafka 2 can abort in admin requests when Kafka is killed.
        self._reader = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": group,
                "enable.auto.commit": False,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._topic = topic
        self._path = directory / COMMITS_FILE
        self._known: dict[int, int] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Samples are taken while it lasts."""
        with (
            closing(self._reader),
            self._path.open("w", buffering=1) as file,
            repeatedly("commits", SAMPLE_SECONDS, lambda: self._sample(file)),
        ):
            yield

    def _sample(self, file: TextIO) -> None:
        try:
            partitions = self._reader.list_topics(self._topic, ANSWER_SECONDS).topics[self._topic].partitions
            wanted = [TopicPartition(self._topic, number) for number in partitions]
            answer = self._reader.committed(wanted, ANSWER_SECONDS)
        except KafkaException:
            # Kafka is away every now and then: what was known before stays true.
            return
        now = time.time()
        for place in answer:
            if place.offset >= 0 and self._known.get(place.partition) != place.offset:
                self._known[place.partition] = place.offset
                file.write(f"{now:.6f}\t{place.partition}\t{place.offset}\n")
