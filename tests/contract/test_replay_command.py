"""`ferry dead-letters replay` with a real Valkey: what is looked for, what ends it early, and what it asks before."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ferry_console.cli import Arguments
from ferry_console.dead_letters import replay_command
from ferry_console.dead_letters.replay_checks import reasons_against
from ferry_console.dead_letters.replay_sending import Answer, Delivery
from ferry_console.dead_letters.replays import Replay
from ferry_console.doctor.kafka_facts import Absence, TopicFacts, Unknown
from ferry_console.trace.findings import DeadLetters
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TaskId, TopicPartition
from ferry_shared.settings import ConsumerSettings
from tests.support.ledger_probe import LedgerProbe
from tests.unit.console.letter_parts import RECORD, written

PREFIX = "pre:"
PLACE = TopicPartition("orders", 3)


@dataclass
class Sent:
    """In the place of the producer: takes all, and notes which."""

    offsets: list[int]

    def send(self, replays: Sequence[Replay]) -> list[Answer]:
        """Take each."""
        self.offsets += [one.task_id.first for one in replays]
        return [Answer(Delivery.SENT)] * len(replays)


class FakeSide:
    """Tells of topics what the test says; counts how often it is asked."""

    def __init__(self, found: TopicFacts | Unknown) -> None:
        self.found, self.asked = found, 0

    def topics(self, names: Sequence[str]) -> dict[str, TopicFacts | Unknown]:
        """The same of each."""
        self.asked += 1
        return dict.fromkeys(names, self.found)


def facts(policy: str | None) -> TopicFacts:
    """The topic with this clean-up policy, or with a configuration that may not be read."""
    return TopicFacts("orders", (), None, None if policy is None else {"cleanup.policy": policy})


@pytest.fixture
def sent(ledger: LedgerProbe, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The command's producer; the group blue has a ledger here, and the topic is plain."""
    ledger.client.hset(LedgerKeys.of(PREFIX, "blue", PLACE).head, "position", 1)
    taken = Sent([])
    monkeypatch.setattr(replay_command, "ReplaySender", lambda _: taken)
    monkeypatch.setattr(replay_command, "KafkaSide", lambda _: FakeSide(facts("delete")))
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("FERRY_KEY_PREFIX", PREFIX)
    return taken


def asked(*offsets: int, **of: Any) -> Arguments:
    """What the command line gives for these ids."""
    given: dict[str, Any] = dict.fromkeys(("topic", "with_reason", "since", "until", "text", "group", "most"))
    given |= dict.fromkeys(("all", "force", "dry_run"), False) | {"timeout": 60.0, "json": True}
    return Arguments(task_ids=[f"orders-3-{offset}@blue" for offset in offsets], **(given | of))


def letters(task_id: TaskId, *_: object) -> DeadLetters:
    """One letter of every id."""
    return DeadLetters((written(replace(RECORD, offset=task_id.first), task_id=task_id.text),), read=1, complete=True)


def test_ids_are_replayed(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest letter of each."""
    monkeypatch.setattr(replay_command, "letters_of", letters)
    assert replay_command.replay(ConsumerSettings(), asked(1, 2, 3)) == 0
    assert sent.offsets == [1, 2, 3]


def test_the_first_interrupt_sends_nothing_more(
    sent: Sent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also among ids, and those that were found already: it may be meant for them."""

    def interrupted(task_id: TaskId, *_: object) -> DeadLetters:
        if task_id.first == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return letters(task_id)

    monkeypatch.setattr(replay_command, "letters_of", interrupted)
    assert replay_command.replay(ConsumerSettings(), asked(1, 2, 3)) == 1
    assert sent.offsets == []
    assert '"cut_short": "it was interrupted"' in capsys.readouterr().out


def test_a_search_that_was_cut_short_does_not_deny_a_letter(
    sent: Sent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has as much time as the command, and says that it did not suffice."""
    given: list[float] = []

    def cut_short(_: TaskId, _settings: object, seconds: float) -> DeadLetters:
        given.append(seconds)
        return DeadLetters((), read=77, complete=False)

    monkeypatch.setattr(replay_command, "letters_of", cut_short)
    assert replay_command.replay(ConsumerSettings(), asked(1, timeout=3_000.0)) == 1
    assert 2_000 < given[0] <= 3_000
    out = capsys.readouterr().out
    assert "was not found among 77 dead letters" in out
    assert "raise --timeout" in out
    assert sent.offsets == []


def test_a_group_without_a_ledger_here_is_told(ledger: LedgerProbe) -> None:
    """Whoever reads the topic would pass the record over, or the marks are written into another Redis."""
    side: Any = FakeSide(facts("delete"))
    ledger.client.hset(LedgerKeys.of(PREFIX, "blue", PLACE).head, "position", 1)
    reason_against = reasons_against(ledger.client, PREFIX, side)
    assert reason_against(TaskId.parse("orders-3-42@blue")) is None
    for other in ("orders-3-42@green", "orders-4-42@blue", "invoices-3-42@blue"):
        told = reason_against(TaskId.parse(other))
        assert told is not None
        assert "no consumer has taken up" in told
    told = reasons_against(ledger.client, "other:", side)(TaskId.parse("orders-3-42@blue"))
    assert told is not None
    assert "FERRY_KEY_PREFIX" in told


@pytest.mark.parametrize(
    ("found", "is_compacted"),
    [
        (facts("compact"), True),
        (facts("compact,delete"), True),
        (facts("delete"), False),
        (facts(None), False),
        (Unknown("orders", Absence.DENIED, "no"), False),
    ],
)
def test_a_compacted_topic_is_told(ledger: LedgerProbe, found: TopicFacts | Unknown, *, is_compacted: bool) -> None:
    """The record of a key that is sent again would be its newest; what Kafka doesn't tell holds nothing up."""
    side: Any = FakeSide(found)
    ledger.client.hset(LedgerKeys.of(PREFIX, "blue", PLACE).head, "position", 1)
    reason_against = reasons_against(ledger.client, PREFIX, side)
    told = [reason_against(TaskId.parse(f"orders-3-{offset}@blue")) for offset in (41, 42)]
    assert [one is not None and "compacted" in one for one in told] == [is_compacted] * 2
    assert side.asked == 1
