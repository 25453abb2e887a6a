"""What the live page reads and changes, on a real Valkey: a group's progress, a message's way, replays."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ferry_console.dead_letters.replay_sending import Answer, Delivery
from ferry_console.dead_letters.replays import Replay
from ferry_console.page import letter_desk, message_finder
from ferry_console.page.letter_desk import LetterDesk
from ferry_console.page.letter_requests import LetterPlace, ReplayRequest
from ferry_console.page.message_finder import MessageFinder
from ferry_console.page.redis_source import MOST_OLDEST, RedisSource
from ferry_console.page.tracing import Trace
from ferry_console.page.watching import GroupWatch
from ferry_console.trace import redis_side
from ferry_console.trace.findings import DeadLetters, KafkaView, Whereabouts
from ferry_consumer.record_reader import RecordReader
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.record import Record, TaskId, TopicPartition
from ferry_shared.settings import ConsumerSettings
from tests.support.ledger_probe import LedgerProbe
from tests.unit.console.letter_parts import RECORD, written


@pytest.fixture
def settings(redis_url: str, ledger: LedgerProbe) -> ConsumerSettings:
    """This test's Valkey, group and topic; Kafka is away."""
    return ConsumerSettings(
        celery_broker_url=redis_url,
        consumer_group=ledger.group,
        ferry_topic=ledger.place.topic,
        kafka_bootstrap_servers="127.0.0.1:1",
    )


# The group


def look(watch: GroupWatch) -> dict[str, Any]:
    """One look's document; looks lie a moment apart."""
    time.sleep(0.01)
    event = watch.look().event
    assert event.name == "look", event.document
    document: dict[str, Any] = event.document
    return document


def test_progress(ledger: LedgerProbe, settings: ConsumerSettings) -> None:
    """What was done between two looks is the rate; dead letters count by themselves; the oldest are listed."""
    watch = GroupWatch(RedisSource(ledger.client, settings, ledger.group), 300.0)
    ledger.own()
    ledger.dispatch([str(offset) for offset in range(20)])
    first = look(watch)
    assert (first["sample"]["in_flight"], first["sample"]["done_per_second"]) == (20, None)
    assert [entry["offset"] for entry in first["oldest"]["entries"]] == list(range(MOST_OLDEST))
    for offset in range(10):
        ledger.claim(str(offset))
        ledger.outcome("done", str(offset))
    for offset in (10, 11):
        ledger.claim(str(offset))
        ledger.outcome("fail", str(offset))
        assert ledger.clear(str(offset))
    second = look(watch)
    seconds = (second["sample"]["at_ms"] - first["sample"]["at_ms"]) / 1000
    assert second["sample"]["done_per_second"] * seconds == pytest.approx(10)
    assert second["sample"]["dead_per_second"] * seconds == pytest.approx(2)
    assert second["sample"]["in_flight"] == 8
    (failed,) = second["failures"]
    assert (failed["task"], failed["topic"], failed["dead_letters"]) == ("printSomething", ledger.place.topic, 2)
    assert [sample["in_flight"] for sample in watch.greeting().document["samples"]] == [20, 8]


def test_the_list_of_the_oldest_is_asked_for_seldom(ledger: LedgerProbe, settings: ConsumerSettings) -> None:
    """It costs Redis more than the rest."""
    watch = GroupWatch(RedisSource(ledger.client, settings, ledger.group), 300.0)
    ledger.own()
    ledger.dispatch(["0"])
    assert len(look(watch)["oldest"]["entries"]) == 1
    ledger.dispatch(["1"])
    assert len(look(watch)["oldest"]["entries"]) == 1


def test_without_redis(settings: ConsumerSettings) -> None:
    """A sentence instead of a look."""
    watch = GroupWatch(RedisSource(connect("redis://127.0.0.1:1/0"), settings, "ferry"), 300.0)
    event = watch.look().event
    assert event.name == "problem"
    assert event.document["problem"].startswith("Redis: ")


def test_routes_that_can_not_be_read(ledger: LedgerProbe, settings: ConsumerSettings) -> None:
    """Then the tasks have no names, and all else is shown."""
    broken = settings.model_copy(update={"ferry_routes": "not.there:routes"})
    watch = GroupWatch(RedisSource(ledger.client, broken, ledger.group), 300.0)
    ledger.own()
    ledger.dispatch(["0"])
    assert [(one["topic"], one["task"]) for one in look(watch)["failures"]] == [(ledger.place.topic, None)]


# One message


class FakeKafka:
    """Stands for `KafkaSide`: the record when there is one, the dead letter when there is one; or silence."""

    record_of: Record | None = None
    letter: Record | None = None
    silent = False
    asked: list[str]
    open = 0

    def __init__(self, _settings: ConsumerSettings) -> None:
        type(self).open += 1

    def close(self) -> None:
        """It was open."""
        type(self).open -= 1

    def record(self, task_id: TaskId) -> KafkaView:
        """The log ends where the record isn't."""
        type(self).asked.append("record")
        if type(self).silent:
            raise KafkaUnavailable("Kafka: silent")
        record = type(self).record_of
        return KafkaView(0, task_id.first + (1 if record else 0), record)

    def dead_letters(self, _task_id: TaskId, sent_ms: int | None) -> DeadLetters:
        """All of them."""
        type(self).asked.append("letters")
        assert sent_ms == RECORD.timestamp_ms
        letter = type(self).letter
        return DeadLetters((letter,) if letter else (), 1, complete=True)


@pytest.fixture
def kafka_side(monkeypatch: pytest.MonkeyPatch) -> type[FakeKafka]:
    """The Kafka of this test."""

    class Fresh(FakeKafka):
        asked: list[str] = []  # noqa: RUF012 - a class of this test's own

    monkeypatch.setattr(message_finder, "KafkaSide", Fresh)
    return Fresh


@pytest.fixture
def finder(ledger: LedgerProbe, settings: ConsumerSettings, kafka_side: type[FakeKafka]) -> MessageFinder:
    """Of the message at offset 0."""
    assert kafka_side.open == 0
    return MessageFinder(ledger.client, settings, TaskId(ledger.group, ledger.place.topic, 0, 0, 0))


def test_a_message_from_before_it_is_sent_to_its_end(
    ledger: LedgerProbe, finder: MessageFinder, kafka_side: type[FakeKafka]
) -> None:
    """At each look where it is; the record is read until it is there, dead letters are searched at its end."""
    trace = Trace(finder)
    ledger.own()
    assert trace.look().event.document["state"] == "not_sent"
    kafka_side.record_of = RECORD
    assert trace.look().event.document["state"] == "in_kafka"
    ledger.dispatch(["0"])
    told = trace.look().event.document
    # The queue of this test's ledger isn't the route's, so the message is not found there.
    assert told["state"] == "unseen"
    ledger.claim("0")
    assert trace.look().event.document["state"] == "running"
    assert kafka_side.asked == ["record", "record"]
    ledger.outcome("done", "0")
    look = trace.look()
    assert (look.event.document["state"], look.event.is_last) == ("done", True)
    assert all(step["at"] for step in look.event.document["way"])
    assert kafka_side.asked == ["record", "record", "letters"]
    finder.close()
    assert kafka_side.open == 0


def test_a_message_that_fails(ledger: LedgerProbe, finder: MessageFinder, kafka_side: type[FakeKafka]) -> None:
    """Its dead letter is found, and ends its way."""
    kafka_side.record_of = RECORD
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.outcome("fail", "0")
    assert finder.find().whereabouts is Whereabouts.FAILED
    assert ledger.clear("0")
    kafka_side.letter = written()
    assert finder.find().whereabouts is Whereabouts.DEAD


def test_the_queue_is_searched_seldom(
    ledger: LedgerProbe, finder: MessageFinder, kafka_side: type[FakeKafka], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that took long isn't repeated at each look; what a worker takes is seen at once all the same."""
    kafka_side.record_of = RECORD
    searches = 0
    search = redis_side.look

    def slow(*arguments: Any) -> Any:
        nonlocal searches
        searches += 1
        time.sleep(0.05)
        return search(*arguments)

    monkeypatch.setattr(message_finder, "look", slow)
    ledger.own()
    ledger.dispatch(["0"])
    for _ in range(3):
        assert finder.find().whereabouts is Whereabouts.UNSEEN
    assert searches == 1
    ledger.claim("0")
    assert finder.find().whereabouts is Whereabouts.RUNNING


def test_a_kafka_that_is_silent_is_asked_seldom(
    ledger: LedgerProbe, finder: MessageFinder, kafka_side: type[FakeKafka], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its silence costs seconds; what Redis knows is told meanwhile, and what is missing too."""
    kafka_side.silent = True
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    for _ in range(3):
        found = finder.find()
        assert found.whereabouts is Whereabouts.RUNNING
        assert "Kafka" in found.missing[0]
    assert kafka_side.asked == ["record"]
    kafka_side.silent = False
    kafka_side.record_of = RECORD
    monkeypatch.setattr(message_finder, "AFTER_SILENCE_SECONDS", 0.0)
    finder.close()
    assert finder.find().missing == ()


def test_a_group_without_a_ledger(finder: MessageFinder, kafka_side: type[FakeKafka]) -> None:
    """Dead letters are searched once, not at each look."""
    kafka_side.record_of = RECORD
    for _ in range(3):
        assert finder.find().whereabouts is Whereabouts.NO_LEDGER
    assert kafka_side.asked == ["record", "letters"]


# Replays


def letter(offset: int) -> Record:
    """A dead letter, at the same offset in its topic."""
    return written(replace(RECORD, offset=offset), offset=offset, task_id=f"orders-3-{offset}@blue")


class FakeSender:
    """Stands for the producer."""

    sent: list[int]

    def __init__(self, _settings: ConsumerSettings) -> None:
        pass

    def send(self, replays: Sequence[Replay]) -> list[Answer]:
        """Kafka takes everything."""
        type(self).sent += [one.task_id.first for one in replays]
        return [Answer(Delivery.SENT)] * len(replays)


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> type[FakeSender]:
    """What is sent; Kafka has the dead letters 0 to 9, in pieces of three."""

    class Fresh(FakeSender):
        sent: list[int] = []  # noqa: RUF012 - a class of this test's own

    def read(
        _: RecordReader, place: TopicPartition, offsets: Sequence[int], _seconds: float
    ) -> Mapping[int, Record | None]:
        assert place == TopicPartition("orders.dlq", 0)
        return {offset: letter(offset) if offset < 10 else None for offset in sorted(offsets)[:3]}

    monkeypatch.setattr(letter_desk, "ReplaySender", Fresh)
    monkeypatch.setattr(RecordReader, "read", read)
    return Fresh


def request(*offsets: int, dry_run: bool = False, force: bool = False, topic: str = "orders.dlq") -> ReplayRequest:
    """What the page asks for."""
    places = [LetterPlace(topic=topic, partition=0, offset=offset) for offset in offsets]
    return ReplayRequest(letters=places, dry_run=dry_run, force=force)


def test_each_is_replayed_once(ledger: LedgerProbe, settings: ConsumerSettings, sender: type[FakeSender]) -> None:
    """However often it is selected or asked for; a dry run sends nothing; each change is told, with who and when."""
    sentences: list[str] = []
    desk = LetterDesk(ledger.client, settings, sentences.append)
    assert desk.replay(request(*range(8), dry_run=True))["replayed"] == 8
    assert (sender.sent, sentences, ledger.dump()) == ([], [], {})
    told = desk.replay(request(*range(8), 3, 3))
    assert (told["replayed"], told["before"], told["unfit"]) == (8, 0, 0)
    assert sorted(sender.sent) == list(range(8))
    (sentence,) = sentences
    assert sentence == told["told"][0] == f"{told['at']} {told['who']} replayed 8 dead letters"
    assert desk.replay(request(7, 8))["before"] == 1
    assert desk.replay(request(7, force=True))["replayed"] == 1
    assert sorted(sender.sent) == [0, 1, 2, 3, 4, 5, 6, 7, 7, 8]


def test_what_can_not_be_replayed_is_told(
    ledger: LedgerProbe, settings: ConsumerSettings, sender: type[FakeSender]
) -> None:
    """What Kafka has deleted, and what lies in no dead-letter topic; the rest is sent."""
    desk = LetterDesk(ledger.client, settings, lambda _: None)
    told = desk.replay(request(1, 99))
    assert (told["replayed"], told["unfit"], told["warnings"]) == (1, 1, ["orders.dlq-0-99 isn't in Kafka any more"])
    told = desk.replay(request(2, topic="orders"))
    assert (told["replayed"], told["warnings"]) == (0, ["orders-0-2 lies in no dead-letter topic"])
    assert sender.sent == [1]
    assert desk.show(LetterPlace(topic="orders", partition=0, offset=1)) is None
    assert desk.show(LetterPlace(topic="orders.dlq", partition=0, offset=99)) is None
    shown = desk.show(LetterPlace(topic="orders.dlq", partition=0, offset=1))
    assert shown is not None
    assert shown["id"] == "orders-3-1@blue"


def test_a_replay_without_kafka(
    ledger: LedgerProbe, settings: ConsumerSettings, sender: type[FakeSender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that it ended early, and nothing is marked."""

    def read(*_: object) -> Mapping[int, Record | None]:
        raise KafkaUnavailable("Kafka: away")

    monkeypatch.setattr(RecordReader, "read", read)
    told = LetterDesk(ledger.client, settings, lambda _: None).replay(request(1))
    assert (told["replayed"], told["cut_short"]) == (0, "Kafka: away")
    assert (sender.sent, ledger.dump()) == ([], {})
