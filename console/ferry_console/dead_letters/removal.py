"""Remove dead letters: a look at what may go, and behind a fence a second one; what then may go Kafka deletes."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ferry_console.dead_letters.purge_fences import FENCE_SECONDS, Fence, raise_fences
from ferry_console.dead_letters.purge_report import Purge
from ferry_console.dead_letters.purging import Survey
from ferry_console.dead_letters.replay_report import CutShort
from ferry_console.doctor.kafka_facts import TopicFacts
from ferry_console.doctor.kafka_side import KafkaSide
from ferry_console.doctor.rights import may
from ferry_console.doctor.topic_config import TopicConfig
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from ferry_console.dead_letters.purging import Prefix, Wanted
    from ferry_console.dead_letters.replay_marks import Mark
    from ferry_console.topic_log import Stretches, TopicLog
    from ferry_shared.settings import ConsumerSettings

#: The marks must have been read again, and the records deleted, well before the fence ends.
LONGEST_REMOVAL_SECONDS = FENCE_SECONDS / 2


class Deleter(Protocol):
    """Deletes the beginning of a topic's partitions."""

    def delete(self, topic: str, untils: Mapping[int, int]) -> dict[int, str]:
        """All before these offsets; returns why, by partition, where it didn't."""
        ...


class Removal:
    """For one command: `survey`, then `remove` what it found, unless somebody says no."""

    def __init__(self, client: redis.Redis, key_prefix: str, log: TopicLog, wanted: Wanted, mark: Mark) -> None:
        self._client = client
        self._key_prefix = key_prefix
        self._log = log
        self._wanted = wanted
        self._mark = mark

    def survey(self, topics: Sequence[str], refused: Mapping[str, str], seconds: float) -> Purge:
        """Look at all letters of these topics, but those that are `refused`.

        Raises:
            KafkaUnavailable: Kafka did not answer.
            RedisUnavailable: Redis did not.
        """
        found, deadline = Purge(), time.monotonic() + seconds
        for topic in topics:
            whole = self._log.whole(topic)
            if not whole:
                found.absent.append(topic)
            elif topic in refused:
                found.refused[topic] = refused[topic]
            else:
                found.prefixes[topic], sufficed = self._look(topic, whole, deadline)
                if not sufficed:
                    found.cut_short = CutShort(f"{seconds:.0f} s did not suffice: run it again, or raise --timeout")
        return found

    def remove(self, found: Purge, deleter: Deleter) -> None:
        """Delete what may go, topic by topic, and note in `found` what came of it."""
        for topic, prefixes in found.prefixes.items():
            going = {number: prefix for number, prefix in prefixes.items() if prefix.letters}
            try:
                if going and not found.is_away:
                    self._remove(topic, going, deleter, found)
            except (KafkaUnavailable, RedisUnavailable) as error:
                found.cut_short = CutShort(str(error), is_server_away=True)
            if found.is_away:
                for prefix in going.values():
                    prefix.keep_all()

    def _remove(self, topic: str, going: dict[int, Prefix], deleter: Deleter, found: Purge) -> None:
        self._raise_fences(topic, going)
        stretches = {number: (prefix.start, prefix.until) for number, prefix in going.items()}
        again, sufficed = self._look(topic, stretches, time.monotonic() + LONGEST_REMOVAL_SECONDS)
        if not sufficed:
            found.cut_short = CutShort("the marks of so many replays could not be read in time: run it again")
        for number, second in again.items():
            going[number].take_over(second)
        untils = {number: prefix.until for number, prefix in going.items() if prefix.letters}
        failed = deleter.delete(topic, untils) if untils else {}
        for number, why in failed.items():
            going[number].keep_all()
            found.failed[topic, number] = why
        # What stays can be replayed at once; else when the fence ends.
        with suppress(RedisUnavailable):
            self._raise_fences(topic, going)

    def _raise_fences(self, topic: str, prefixes: dict[int, Prefix]) -> None:
        fences = {
            number: Fence(prefix.until, self._mark.who, self._mark.when_ms) for number, prefix in prefixes.items()
        }
        raise_fences(self._client, self._key_prefix, topic, fences)

    def _look(self, topic: str, stretches: Stretches, deadline: float) -> tuple[dict[int, Prefix], bool]:
        survey = Survey(self._client, self._key_prefix, self._wanted, stretches)
        sufficed = self._log.read(topic, stretches, deadline, survey.add)
        return survey.finish(complete=sufficed), sufficed


def refusals(settings: ConsumerSettings, topics: Sequence[str]) -> dict[str, str]:
    """Why Kafka would delete nothing of a topic, by its configuration and this user's rights."""
    found = {}
    for name, facts in KafkaSide(settings).topics(topics).items():
        if not isinstance(facts, TopicFacts):
            continue
        config = None if facts.config is None else TopicConfig.of(facts.config)
        if config is not None and config.compacts and not config.deletes:
            found[name] = (
                "it is compacted (cleanup.policy=compact), and Kafka deletes nothing of such a topic on request"
            )
        elif not may(facts.operations, "DELETE"):
            found[name] = "this user may not delete its records: have Delete granted on the topic"
    return found
