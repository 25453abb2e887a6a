"""`ferry status` as people read it: totals, warnings, a table whose columns stand under each other."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ferry_console.status.group_status import GroupStatus
from ferry_console.status.text import MOST_IN_ORDER, in_order, page, table, totals_line
from ferry_console.status.warnings import warnings
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.group_view import LedgerView
from ferry_shared.ledger.pauses import Pause
from tests.unit.console.status_views import ABSENT, NOW_MS, OLD_AFTER, PLACE, ledger, status, statuses, word

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
cell = st.text(max_size=9)


def told(found: GroupStatus) -> list[str]:
    """The warnings."""
    return warnings(found, OLD_AFTER)


def test_a_group_where_all_is_well() -> None:
    """Totals, and one row a partition; nothing to warn of."""
    lines = page(status(ledger(), ledger(in_flight=1_200)), OLD_AFTER).lines
    assert [re.sub(" {2,}", " | ", line) for line in lines] == [
        "group ferry at 2023-11-14T22:13:20.000Z: 2 partitions, 1 consumer, backlog 1,250, in flight 1,230, "
        "oldest 2.5 s, lag 80, dead letters 8, restored 0, rewound 0",
        "topic | partition | log end | committed | position | in flight | oldest | backlog | dead | paused | consumer"
        " | heard",
        "orders | 0 | 100 | 60 | 90 | 30 | 2.5 s | 40 | 4 | - | host:1 | 1.0 s ago",
        "orders | 1 | 100 | 60 | 90 | 1,200 | 2.5 s | 1,210 | 4 | - | host:1 | 1.0 s ago",
    ]


def test_what_is_not_known_is_a_dash_and_a_backlog_at_least() -> None:
    """Nothing is shown as zero that isn't known to be."""
    row = page(status(ledger(), words=[]), OLD_AFTER).rows[1]
    assert " ".join(row.split()) == "orders 0 - 60 90 30 2.5 s >=30 4 - - never"
    row = page(status(ABSENT, words=[word(20.0)]), OLD_AFTER).rows[1]
    assert " ".join(row.split()) == "orders 0 100 - - 0 - >=100 0 - host:1 20.0 s ago, silent"


def test_a_group_that_nobody_consumes() -> None:
    """No ledger, no word: what that means, and what to do."""
    (warning,) = told(status())
    assert warning.startswith("group ferry has no ledger, and no consumer has said anything")
    assert page(status(), OLD_AFTER).rows == ()
    (warning,) = told(status(ledger(), words=[word(34.0)]))
    assert warning.startswith("nobody consumes: the last word came 34.0 s ago from host:1")


def test_some_silent_partitions_are_named() -> None:
    """The first few by name, the others counted."""
    found = status(*[ledger()] * 6, words=[word()])
    (warning,) = told(found)
    assert warning.startswith(
        "orders-1, orders-2, orders-3 and 2 more are silent: nothing has been heard for ten minutes"
    )
    assert "(5 silent)" in totals_line(found)


def test_a_log_end_that_kafka_does_not_tell() -> None:
    """The consumer is at work and can't reach Kafka."""
    (warning,) = told(status(ledger(), ledger(), words=[word(), word(place=PLACE._replace(partition=1), log_end=-1)]))
    assert warning.startswith("orders-1 is at work, but Kafka doesn't tell")


def test_a_ledger_that_is_not_there_or_damaged() -> None:
    """Which, and what happens next."""
    absent, damaged = told(status(ABSENT, LedgerView(Condition.DAMAGED, 0, None, None, None), ledger()))
    assert absent.startswith("orders-0 is without a ledger")
    assert damaged.startswith("orders-1 is with a damaged ledger")


def test_a_pause_says_who_when_why_and_how_it_ends() -> None:
    """One line for all partitions of one pause."""
    pause = Pause("ann\x1b[2J", NOW_MS, "the\nshop is closed")
    found = status(ledger(), ledger(), pauses={"orders": pause, "bills:3": pause})
    first, other = page(found, OLD_AFTER).told[1:]
    sentence = r"paused (operator) by ann\x1b[2J since 2023-11-14T22:13:20.000Z: the\nshop is closed; "
    sentence += "ferry resume lets it go on"
    assert first == rf"! orders-0, orders-1 are {sentence}"
    assert other == rf"! bills:3 is {sentence}"
    (warning,) = told(status(ledger(), words=[word(paused="limit")]))
    assert warning == "orders-0 is paused (limit); it goes on by itself when workers have caught up"


def test_a_task_that_is_not_tracked_is_named() -> None:
    """Once, with the messages of all partitions, and what to do about it."""
    views = [ledger(untracked={"plain": f"{count}:{NOW_MS}"}) for count in (3, 4)]
    (warning,) = warnings(status(*views), OLD_AFTER)
    assert warning.startswith("the task 'plain' isn't tracked: it received messages of orders-0, orders-1 7 times")
    assert warning.endswith("its base class must be ferry_worker.TrackedTask")


def test_a_queue_from_which_nobody_takes_is_named() -> None:
    """While something is in flight there, and it is known who listens: workers may be scaled to none meanwhile."""
    words = [word(queue="quick orders")]
    (warning,) = told(status(ledger(), words=words, listening={"celery": 3}))
    assert warning == (
        "no worker takes from the queue quick orders, and 30 messages of orders are in flight: start one with "
        "-Q quick orders, or with FERRY_ROUTES and without -Q; that of your own app needs ferry_worker.track(app)"
    )
    idle = ledger(in_flight=0, lowest=None, age_seconds=None)
    assert told(status(idle, words=words, listening={})) == []
    assert told(status(ledger(), words=words, listening={"quick orders": 1})) == []
    assert told(status(ledger(), words=words, listening=None)) == []


def test_an_old_message_is_named_so_that_it_can_be_traced() -> None:
    """The oldest first; at its age exactly it is not yet old."""
    old = [ledger(age_seconds=300.0 + age) for age in (0, 1, 100, 7, 8)]
    first, *others = told(status(*old))
    assert first == (
        "orders-2-60 is in flight for 6 min 40 s and holds the committed offset back (60 now); "
        "ask ferry trace orders-2-60"
    )
    assert [warning.split()[0] for warning in others] == ["orders-4-60", "orders-3-60", "and"]
    assert others[-1] == "and 1 more partitions hold a message that old"


def test_a_search_that_was_cut_short_is_told() -> None:
    """There may be more than is shown."""
    assert "there may be more partitions" in told(replace(status(ledger()), complete=False))[-1]


def test_few_partitions_stay_in_order_and_of_many_the_worst_come_first() -> None:
    """Rows don't move under one's eyes; hundreds of them show what matters at the top."""
    views = [ledger(in_flight=number) for number in range(MOST_IN_ORDER)]
    assert [view.place.partition for view in in_order(status(*views).partitions)] == list(range(MOST_IN_ORDER))
    views += [ABSENT, ledger(in_flight=5_000)]
    order = [view.place.partition for view in in_order(status(*views).partitions)]
    assert order[:3] == [MOST_IN_ORDER, MOST_IN_ORDER + 1, MOST_IN_ORDER - 1]
    assert sorted(order) == list(range(MOST_IN_ORDER + 2))


@given(found=statuses())
def test_nothing_that_somebody_wrote_acts_on_the_terminal(found: GroupStatus) -> None:
    """Neither a group's name, nor a consumer's, nor a reason; every line stays one."""
    for line in page(found, OLD_AFTER).lines:
        assert not UNSAFE.search(line)


@given(rows=st.lists(st.tuples(cell, cell, cell.map("|{}".format)), max_size=6))
def test_columns_stand_under_each_other(rows: list[tuple[str, str, str]]) -> None:
    """The last column begins at the same cell in every row, also after characters that take two cells or none."""
    shown = [("topic", "partition", "heard"), *rows]
    lines = table(shown)
    assert len(lines) == len(shown)
    starts = {cell_len(line.removesuffix(_safe(row[-1]).rstrip())) for line, row in zip(lines, shown, strict=True)}
    assert len(starts) == 1
    for line, row in zip(lines, shown, strict=True):
        assert line.startswith(_safe(row[0]))
        assert f"  {_safe(row[1])}  " in line
        assert line.endswith(_safe(row[2]).rstrip())


def _safe(cell: str) -> str:
    return UNSAFE.sub(lambda match: match.group().encode("unicode_escape", "backslashreplace").decode(), cell)
