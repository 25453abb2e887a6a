"""The demo's account: sent = done + dead letters, each once, and nothing of others."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.demo.account import Printed, percentile, settle

IDS = st.lists(st.integers(0, 30).map(lambda offset: f"messages-0-{offset}"))


def lines(task_ids: Sequence[str]) -> list[Printed]:
    """Printed lines with latencies 1 ms, 2 ms, …"""
    return [Printed(task_id, "text", float(number)) for number, task_id in enumerate(task_ids, 1)]


def test_complete_when_each_message_ended_once() -> None:
    """Two printed and one dead of three: nothing is missing."""
    account = settle(3, ["a", "b", "c"], lines(["b", "a"]), ["c"])
    assert account.complete
    assert account.done == {"a", "b"}
    assert account.dead == {"c"}
    assert account.latencies_ms == (1.0, 2.0)


@pytest.mark.parametrize(
    ("given_count", "printed", "dead", "missing", "repeated"),
    [
        (3, ["a"], ["c"], {"b"}, set()),
        (3, ["a", "b", "b"], ["c"], set(), {"b"}),
        (3, ["a", "b"], ["c", "c"], set(), {"c"}),
        (3, ["a", "b", "c"], ["c"], set(), {"c"}),
        (4, ["a", "b"], ["c"], set(), set()),
    ],
    ids=["one is missing", "printed twice", "two dead letters", "printed and dead", "one never reached Kafka"],
)
def test_incomplete(
    given_count: int, printed: list[str], dead: list[str], missing: set[str], repeated: set[str]
) -> None:
    """Whatever is missing or happened twice is named."""
    account = settle(given_count, ["a", "b", "c"], lines(printed), dead)
    assert not account.complete
    assert account.missing == missing
    assert account.repeated == repeated


@given(sent=IDS, printed=IDS, dead=IDS)
def test_every_message_is_in_one_place(sent: list[str], printed: list[str], dead: list[str]) -> None:
    """Done, dead and missing cover what was sent, and only repeated messages are in two of them."""
    account = settle(len(set(sent)), sent, lines(printed), dead)
    assert account.done | account.dead | account.missing == set(sent)
    assert account.done & account.dead <= account.repeated
    assert not account.missing & (account.done | account.dead)
    assert account.complete == all(printed.count(each) + dead.count(each) == 1 for each in set(sent))


@given(values=st.lists(st.floats(0, 1e6), min_size=1), percent=st.integers(1, 100))
def test_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: int) -> None:
    """The percentile is the smallest of the values that at least that share does not exceed."""
    values.sort()
    found = percentile(values, percent)
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_percentile_of_nothing() -> None:
    """Without values there is no percentile."""
    with pytest.raises(ValueError, match="needs values"):
        percentile([], 50)
