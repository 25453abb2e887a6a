"""Dead letters for the page: list them, show one, send some again."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from ferry_console.dead_letters.document import list_document, show_document
from ferry_console.dead_letters.letters import letter_of
from ferry_console.dead_letters.reading import read_letters
from ferry_console.dead_letters.replay_checks import reasons_against
from ferry_console.dead_letters.replay_marks import Mark
from ferry_console.dead_letters.replay_report import CutShort, Reach, report
from ferry_console.dead_letters.replay_sending import ReplaySender
from ferry_console.dead_letters.replaying import Replaying, Result
from ferry_console.dead_letters.search import topics_of
from ferry_console.doctor.kafka_side import KafkaSide
from ferry_console.operating.operator_name import operator_name
from ferry_console.topic_log import REQUEST_TIMEOUT_SECONDS, TopicLog
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable
from ferry_shared.ledger.client import server_time_ms
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from ferry_console.page.letter_requests import LetterPlace, LetterQuery, ReplayRequest
    from ferry_shared.record import Record
    from ferry_shared.settings import ConsumerSettings

LIST_SECONDS = 10.0


class LetterDesk:
    """Asks Kafka, and Redis for what was replayed before. `tell` is given a sentence on each change.

    Every method raises KafkaUnavailable or RedisUnavailable, and ConfigurationError for routes that can't be read.
    """

    def __init__(self, client: redis.Redis, settings: ConsumerSettings, tell: Callable[[str], None]) -> None:
        self._client = client
        self._settings = settings
        self._tell = tell

    def list(self, query: LetterQuery) -> dict[str, Any]:
        """The newest that are asked for."""
        log = TopicLog(self._settings, "ferry-page-letters")
        try:
            topics = topics_of(self._settings, query.topic)
            return list_document(read_letters(log, topics, query.wanted, query.limit, LIST_SECONDS))
        finally:
            log.close()

    def show(self, place: LetterPlace) -> dict[str, Any] | None:
        """One of them, whole; None: there is none at that place."""
        if not self._is_dead_letter_topic(place):
            return None
        for _, record in self._records([place]):
            if record is not None:
                return show_document(letter_of(record).id, [record], complete=True, missing=())
        return None

    def replay(self, request: ReplayRequest) -> dict[str, Any]:
        """Send them again, or say what would be; tells what became of them."""
        mark = Mark(operator_name(), server_time_ms(self._client))
        prefix = self._settings.ferry_key_prefix
        replaying = Replaying(
            self._client,
            prefix,
            None if request.dry_run else ReplaySender(self._settings),
            mark,
            suffix=self._settings.consumer_dead_letter_suffix,
            force=request.force,
            unfit=reasons_against(self._client, prefix, KafkaSide(self._settings)),
        )
        reach = Reach()
        try:
            self._add(request.letters, replaying)
            replaying.finish()
        except (KafkaUnavailable, RedisUnavailable) as error:
            reach = Reach(CutShort(str(error), is_server_away=True))
        outcome = report(replaying.tally, mark, reach, dry_run=request.dry_run)
        if not request.dry_run:
            for sentence in (*outcome.sentences, *outcome.warnings):
                self._tell(sentence)
        return {**outcome.facts, "told": list(outcome.sentences), "warnings": list(outcome.warnings)}

    def _add(self, places: Sequence[LetterPlace], replaying: Replaying) -> None:
        letters = [place for place in places if self._is_dead_letter_topic(place)]
        for place in places:
            if place not in letters:
                replaying.tally.add(Result.UNFIT, _name(place), "lies in no dead-letter topic")
        for place, record in self._records(letters):
            if record is None:
                replaying.tally.add(Result.UNFIT, _name(place), "isn't in Kafka any more")
            else:
                replaying.add(record)

    def _is_dead_letter_topic(self, place: LetterPlace) -> bool:
        return place.topic.endswith(self._settings.consumer_dead_letter_suffix)

    def _records(self, places: Sequence[LetterPlace]) -> Iterator[tuple[LetterPlace, Record | None]]:
        """Each with its record, None where there is none."""
        from ferry_consumer.record_reader import RecordReader  # noqa: PLC0415 - other services are imported when needed

        reader = RecordReader(self._settings)
        try:
            for (topic, partition), group in groupby(sorted(set(places), key=_order), key=_order_of_partition):
                left = {place.offset: place for place in group}
                while left:
                    found = reader.read(TopicPartition(topic, partition), list(left), REQUEST_TIMEOUT_SECONDS)
                    if not found:
                        raise KafkaUnavailable(
                            f"Kafka: reading {topic} took longer than {REQUEST_TIMEOUT_SECONDS:.0f} s"
                        )
                    for offset, record in sorted(found.items()):
                        yield left.pop(offset), record
        finally:
            reader.close()


def _order(place: LetterPlace) -> tuple[str, int, int]:
    return place.topic, place.partition, place.offset


def _order_of_partition(place: LetterPlace) -> tuple[str, int]:
    return place.topic, place.partition


def _name(place: LetterPlace) -> str:
    return f"{place.topic}-{place.partition}-{place.offset}"
