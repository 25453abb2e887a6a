"""When a drain is over, and what it says until then."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.operating.drain_report import Drain, DrainEnd, report
from ferry_console.operating.draining import (
    MOST_NAMED,
    RATE_SECONDS,
    DrainLook,
    EndRate,
    PartitionLook,
    bar_text,
    left_sentences,
    partition_look,
    progress_sentence,
)
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.group_view import LedgerView
from ferry_shared.ledger.pauses import Pause, PauseCause
from ferry_shared.record import TopicPartition
from ferry_shared.status import PartitionStatus
from tests.unit.console.status_views import ABSENT, NOW_MS, PLACE, SILENT_AFTER, ledger, word
from tests.unit.console.test_operate_page import names

PAUSED_MS = NOW_MS - 5_000
HOLDING = word(paused="operator")
QUIET = PartitionLook(PLACE, 0, 0, holds=True, silent=False)
BUSY = PartitionLook(PLACE, 30, 30, True, False, True, "orders-0-60", 150.0)
DRAIN = Drain("alice@host", NOW_MS, "ferry", {"orders": Pause("alice@host", NOW_MS, "drain")}, ["orders"])
WHEN = "2023-11-14T22:13:20.000Z alice@host"


def looked(view: LedgerView, said: PartitionStatus | None) -> PartitionLook:
    """One partition that was paused five seconds ago."""
    oldest = None if view.lowest is None else f"orders-0-{view.lowest}"
    return partition_look(PLACE, view, said, oldest, paused_ms=PAUSED_MS, silent_after_seconds=SILENT_AFTER)


EMPTY = ledger(0, None, None, position=90, committed=90)


@pytest.mark.parametrize(
    ("view", "said", "is_drained"),
    [
        (EMPTY, HOLDING, True),
        (EMPTY, word(paused="dead-letter limit"), True),
        (EMPTY, word(paused=None), False),
        (EMPTY, word(paused="limit"), False),
        (EMPTY, word(paused="memory"), False),
        (EMPTY, word(5.1, paused="operator"), False),
        (EMPTY, word(5.0, paused="operator"), True),
        (EMPTY, word(15.1), True),
        (EMPTY, None, True),
        (ABSENT, None, True),
        (ABSENT, word(), False),
        (ledger(1), HOLDING, False),
        (ledger(0, None, None, position=90, committed=89), HOLDING, False),
        (ledger(0, None, None, position=90, committed=89), None, False),
        (replace(EMPTY, condition=Condition.DAMAGED), HOLDING, False),
        (replace(EMPTY, condition=Condition.WRONG_TYPE), None, False),
    ],
)
def test_when_a_partition_is_drained(view: LedgerView, said: PartitionStatus | None, is_drained: bool) -> None:
    """Nothing in flight, all committed, and its consumer has said since the pause that it holds still, or is gone."""
    assert looked(view, said).is_drained is is_drained


@given(
    in_flight=st.integers(0, 3), position=st.integers(0, 9), behind=st.integers(0, 3),
    age=st.floats(0, 60), paused=st.none() | st.sampled_from([str(cause) for cause in PauseCause]),
)  # fmt: skip
def test_no_partition_is_drained_that_can_still_take_something_in(
    in_flight: int, position: int, behind: int, age: float, paused: str | None
) -> None:
    """Whatever the numbers are: what is left is told in a sentence, and what isn't has nothing."""
    view = ledger(in_flight, "0" if in_flight else None, position=position, committed=max(0, position - behind))
    one = looked(view, word(age, paused=paused))
    look = DrainLook((one,))
    assert (look.left == ()) is (left_sentences(look) == []) is one.is_drained
    if one.is_drained:
        assert (in_flight, one.uncommitted) == (0, 0)
        assert age > SILENT_AFTER or (paused in {"operator", "dead-letter limit"} and age <= 5)


def test_what_is_left_is_told() -> None:
    """The fullest first; what nobody consumes ends only if somebody does."""
    silent = replace(BUSY, place=TopicPartition("orders", 1), in_flight=31, holds=True, silent=True)
    unsaid = replace(QUIET, place=TopicPartition("orders", 2), holds=False)
    uncommitted = replace(QUIET, place=TopicPartition("orders", 3), uncommitted=4)
    broken = replace(QUIET, place=TopicPartition("orders", 4), is_readable=False)
    assert left_sentences(DrainLook((BUSY, silent, unsaid, uncommitted, broken, QUIET))) == [
        "orders-1: 31 in flight, the oldest orders-0-60 for 2 min 30 s; nobody consumes it, so no retry, dead letter "
        "or commit of it is made: start ferry-consumer run",
        "orders-0: 30 in flight, the oldest orders-0-60 for 2 min 30 s",
        "orders-2: its consumer has not yet said that it holds still",
        "orders-3: done, and 4 offsets not yet committed",
        "orders-4: its ledger can't be read: a live consumer makes a new one",
    ]
    many = DrainLook(tuple(replace(BUSY, place=TopicPartition("orders", number)) for number in range(MOST_NAMED + 2)))
    assert left_sentences(many)[-1] == "and 2 more partitions"


def test_how_far_it_is() -> None:
    """In flight, rate, time left, the oldest of all; then what is still waited for."""
    older = replace(BUSY, oldest="orders-1-7", oldest_seconds=200.0, in_flight=1)
    told = progress_sentence(DrainLook((BUSY, older)), 12.3)
    assert told == "31 in flight, 12/s, 2.5 s left; the oldest orders-1-7 for 3 min 20 s"
    assert progress_sentence(DrainLook((replace(QUIET, uncommitted=1),)), 0) == "0 in flight, waiting for the commit"
    assert progress_sentence(DrainLook((replace(QUIET, holds=False),)), 0) == (
        "0 in flight, waiting for the consumers to hold still"
    )


def test_a_bar_fits_a_narrow_terminal() -> None:
    """Whatever the task ids are."""
    long = replace(BUSY, oldest="x" * 300, in_flight=1_234_567)
    assert bar_text(DrainLook((long,)), 1_234.5) == "1,234,567 in flight, 1,234/s, 16 min 40 s left"
    assert bar_text(DrainLook((long,)), 0) == "1,234,567 in flight, 0/s"


@given(counts=st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 1_000)), min_size=1, max_size=20))
def test_the_rate_is_that_of_the_last_seconds(counts: list[tuple[float, int]]) -> None:
    """Never negative; nothing that ended longer ago counts; while nothing ends it is zero."""
    ending, now = EndRate(), 0.0
    for seconds, in_flight in counts:
        now += seconds
        rate = ending.note(now, in_flight)
        assert rate >= 0
    assert ending.note(now + RATE_SECONDS + 0.1, in_flight) == 0
    assert ending.note(now + RATE_SECONDS + 2.1, max(0, in_flight - 4)) == pytest.approx(min(4, in_flight) / 2)


def ended(end: DrainEnd, drain: Drain = DRAIN) -> tuple[int, list[str], list[str]]:
    """Exit code, sentences and warnings."""
    told = report(drain, end)
    return told.exit_code, list(told.sentences), list(told.warnings)


def test_what_is_told_in_the_end() -> None:
    """Who drained what, when, and how it goes on."""
    drained = replace(DRAIN, seconds=42.0, look=DrainLook((QUIET,)))
    assert ended(DrainEnd.DRAINED, drained) == (
        0,
        [f"{WHEN} drained orders in 42.0 s: nothing is in flight, all is committed; to go on: ferry resume orders"],
        [],
    )
    late = replace(DRAIN, seconds=60.0, look=DrainLook((BUSY,)), warnings=["more"])
    code, told, warnings = ended(DrainEnd.LATE, late)
    assert (code, told) == (1, [])
    assert warnings == [
        "not drained within 1 min: 30 in flight",
        "orders-0: 30 in flight, the oldest orders-0-60 for 2 min 30 s",
        "still paused: orders; ferry drain waits again, ferry in-flight list tells more; to go on: ferry resume orders",
        "more",
    ]
    assert ended(DrainEnd.INTERRUPTED, late)[0] == 130
    assert ended(DrainEnd.UNREACHABLE, late)[0] == 3
    assert ended(DrainEnd.EMPTY, Drain("a", 1, "shop"))[0] == 1
    assert ended(DrainEnd.INTERRUPTED, Drain("a", 1, "shop"))[2] == [
        "interrupted after 0.0 s: 0 in flight",
        "nothing is paused",
    ]


def test_every_field_is_explained() -> None:
    """In the paragraph about JSON of docs/pause_and_resume.md, and each result by its name."""
    page = (Path(__file__).parents[3] / "docs" / "pause_and_resume.md").read_text(encoding="utf-8")
    (told,) = [line for line in page.splitlines() if line.startswith("`--json` tells")]
    facts = report(replace(DRAIN, look=DrainLook((BUSY,))), DrainEnd.LATE).facts
    explained = set(re.findall(r"`(\w+)`", told))
    assert {*names(facts), *map(str, DrainEnd), "warnings"} - explained == set()


def test_the_pauses_of_others_are_theirs_to_end() -> None:
    """Only what this drain has paused is named as to be resumed."""
    pauses = {"orders": Pause("bob@host", 1, "why"), "shop:3": Pause("alice@host", 2, "drain")}
    (told,) = ended(DrainEnd.DRAINED, replace(DRAIN, pauses=pauses, ours=["shop:3"]))[1]
    assert told.endswith(
        "drained orders, shop:3 in 0.0 s: nothing is in flight, all is committed; to go on: ferry resume shop:3"
    )
