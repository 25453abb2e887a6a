"""Whether a group may be forgotten: what stands in the way, what is lost by force, and how it is told."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.doctor.kafka_facts import Absence, GroupFacts, Unknown
from ferry_console.operating.forget_report import SHOWN_KEYS, Forgetting, question, report
from ferry_console.operating.forgetting import KafkaWord, Obstacle, obstacles
from ferry_console.operating.group_keys import Found, Kind
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.group_view import LedgerView
from ferry_shared.record import TopicPartition
from ferry_shared.status import PartitionStatus
from tests.unit.console.status_views import ABSENT, NOW_MS, PLACE, SILENT_AFTER, ledger, word
from tests.unit.console.test_operate_page import names

EMPTY = ledger(0, None, None, position=90, committed=90)
NOBODY = GroupFacts("shop", "empty", 0, None)
WORD = KafkaWord(NOBODY, {PLACE: 90}, ())
HERE = Obstacle("they are here")
LEFT = Obstacle("5 messages in flight", "they never end")
AT = "2023-11-14T22:13:20.000Z alice@host"


def of(*views: LedgerView, topic: str = "orders") -> list[Found]:
    """These ledgers, from partition 0 on."""
    places = [TopicPartition(topic, number) for number in range(len(views))]
    return [
        Found(Kind.LEDGER, (f"{place}:head", f"{place}:times"), view.in_flight, place, view)
        for place, view in zip(places, views, strict=True)
    ]


def told(
    found: Sequence[Found], words: Sequence[PartitionStatus] = (), kafka: KafkaWord | str = WORD
) -> list[tuple[str, bool]]:
    """What stands in the way, and whether it can be forced."""
    found_obstacles = obstacles(found, words, kafka, NOW_MS, SILENT_AFTER)
    return [(one.told, one.loses is not None) for one in found_obstacles]


def test_a_group_that_has_ended_may_go() -> None:
    """Nothing in flight, all committed, nobody there: also with the last words of consumers that ended."""
    assert told(of(EMPTY), [word(15.1)]) == []
    assert told([Found(Kind.PAUSES, ("ferry:pause:shop",), 1)]) == []
    missing = Unknown("shop", Absence.MISSING, "no such group")
    gone = KafkaWord(missing, missing, {"orders"})
    assert told(of(EMPTY, ABSENT), [], gone) == []
    assert told(of(ledger(0, None, None, position=0, committed=0)), [], KafkaWord(missing, missing, ())) == []


@pytest.mark.parametrize(
    ("kafka", "expected"),
    [
        (replace(WORD, group=replace(NOBODY, members=1, state="stable")), ("it has 1 member in Kafka (stable)", False)),
        (replace(WORD, group=Unknown("shop", Absence.DENIED, "no")), ("Kafka doesn't tell of its members: no", True)),
        (replace(WORD, committed={PLACE: 88}), ("2 offsets of orders-0 are dispatched and not committed", True)),
        (replace(WORD, committed={}), ("Kafka has no commit of the group for orders-0", True)),
        (replace(WORD, committed=Unknown("shop", Absence.MISSING, "")), ("Kafka has no commit of the group", True)),
        (replace(WORD, committed=Unknown("shop", Absence.FAILED, "no")), ("Kafka doesn't tell what", True)),
        ("Kafka at host: no", ("Kafka at host: no", True)),
    ],
)
def test_what_kafka_tells_stands_in_the_way(kafka: KafkaWord | str, expected: tuple[str, bool]) -> None:
    """Members for ever; what only the ledger knows, or nobody, unless forced."""
    ((sentence, can_be_forced),) = told(of(EMPTY), [], kafka)
    assert sentence.startswith(expected[0])
    assert can_be_forced is expected[1]


def test_live_consumers_stand_in_the_way_and_can_not_be_overridden() -> None:
    """Each by its name, once, with its last word."""
    words = [word(3.0), word(1.5, TopicPartition("orders", 1)), word(15.1, TopicPartition("orders", 2), consumer="b:2")]
    assert told(of(EMPTY), words) == [
        ("the consumer host:1 has told of it 1.5 s ago: end it, and try again in 15 s", False)
    ]


def test_what_is_in_flight_stands_in_the_way() -> None:
    """And so does a ledger that can't be read."""
    damaged = replace(EMPTY, condition=Condition.DAMAGED)
    kafka = replace(WORD, committed={TopicPartition("orders", number): 90 for number in range(3)})
    assert told(of(ledger(30), damaged, ledger(2)), [], kafka) == [
        ("32 messages in flight of orders-0, orders-2: ferry drain waits for them", True),
        ("the ledger of orders-1 can't be read: what is in flight isn't known", True),
    ]


@given(
    views=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.none() | st.integers(0, 9)), max_size=4),
    age=st.none() | st.floats(0, 60), members=st.integers(0, 2),
)  # fmt: skip
def test_whatever_goes_without_force_comes_back_where_it_was(
    views: Sequence[tuple[int, int, int | None]], age: float | None, members: int
) -> None:
    """Nothing in the way: then nothing is in flight or at work, and Kafka's commit is each ledger's position."""
    found = of(*(ledger(count, None, None, position=position) for count, position, _ in views))
    committed: Mapping[TopicPartition, int] = {
        TopicPartition("orders", number): offset for number, (_, _, offset) in enumerate(views) if offset is not None
    }
    words = [] if age is None else [word(age)]
    kafka = KafkaWord(replace(NOBODY, members=members), committed, ())
    if not told(found, words, kafka):
        assert members == 0
        assert age is None or age > SILENT_AFTER
        for count, position, offset in views:
            assert count == 0
            assert (0 if offset is None else offset) >= position


def forgetting(*in_the_way: Obstacle, **fields: Any) -> Forgetting:
    """By Alice, of two keys and a pause."""
    found = [*of(EMPTY), Found(Kind.PAUSES, ("ferry:pause:shop",), 1)]
    return Forgetting("shop", "alice@host", NOW_MS, found, in_the_way, **fields)


def ended(one: Forgetting) -> tuple[int, list[str], list[str]]:
    """Exit code, sentences and warnings."""
    outcome = report(one)
    return outcome.exit_code, list(outcome.sentences), list(outcome.warnings)


def test_what_is_told() -> None:
    """Who forgot what, when; every key before; what is lost by force; what stands in the way."""
    assert ended(forgetting(is_removed=True)) == (
        0, [f"{AT} forgot the group shop: 3 keys in Redis; its commits in Kafka are left"], [],
    )  # fmt: skip
    assert ended(forgetting(dry_run=True)) == (
        0,
        ["orders-0:head  ledger, in flight: 0", "orders-0:times  ledger, in flight: 0",
         "ferry:pause:shop  pauses, targets: 1", "would forget the group shop: 3 keys in Redis"],
        [],
    )  # fmt: skip
    code, sentences, warnings = ended(forgetting(LEFT))
    assert (code, sentences) == (1, [])
    assert warnings == [
        "the group shop is not forgotten:", "5 messages in flight",
        "--force forgets it all the same, and says what is lost; --dry-run --force says it before",
    ]  # fmt: skip
    assert ended(forgetting(LEFT, force=True, is_removed=True))[2] == ["5 messages in flight; lost: they never end"]
    assert ended(forgetting(LEFT, HERE, force=True))[::2] == (
        1, ["the group shop is not forgotten:", "5 messages in flight", "they are here"],
    )  # fmt: skip
    assert ended(forgetting(HERE, dry_run=True))[2] == ["it would be refused:", "they are here"]
    assert ended(forgetting(changed=["orders-0"])) == (
        1, [f"{AT} forgot a part of the group shop"],
        ["somebody has taken up orders-0 meanwhile: its ledger is left"],
    )  # fmt: skip
    assert ended(forgetting(LEFT, is_kafka_away=True))[0] == 3
    assert ended(Forgetting("shop", "alice@host", NOW_MS)) == (1, ["Redis holds nothing of the group shop"], [])
    assert question(forgetting()) == "forget the group shop: 3 keys in Redis, for good?"


def test_every_field_is_explained() -> None:
    """In the paragraph about JSON of docs/forget_a_group.md."""
    page = (Path(__file__).parents[3] / "docs" / "forget_a_group.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("`--json` tells")]
    assert {*names(report(forgetting(LEFT)).facts), "warnings"} - set(re.findall(r"`(\w+)`", line)) == set()


def test_of_very_many_keys_the_first_are_listed() -> None:
    """Machines get all."""
    many = Forgetting("shop", "a", NOW_MS, of(*[EMPTY] * SHOWN_KEYS), dry_run=True)
    outcome = report(many)
    assert len(outcome.sentences) == SHOWN_KEYS + 2
    assert outcome.sentences[SHOWN_KEYS] == f"and {SHOWN_KEYS} more keys: --json lists them"
    assert len(outcome.facts["keys"]) == 2 * SHOWN_KEYS
