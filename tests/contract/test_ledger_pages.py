"""Looking through a ledger page by page, on a real server: every entry once, in order, and nothing is written."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.entry_page import Entry, EntryPage, read_page
from ferry_shared.ledger.entry_view import view
from ferry_shared.ledger.scripts import script
from ferry_shared.ledger.singles import FailedSingle
from ferry_shared.record import TaskId
from tests.support.ledger_probe import MINUTE_MS, OWNER, LedgerProbe, wait_until


def page(ledger: LedgerProbe, first: int = 0, limit: int = 100) -> EntryPage:
    """One page of this ledger."""
    return read_page(ledger.client, "", ledger.group, ledger.place, first, limit)


def pages(ledger: LedgerProbe, limit: int) -> Iterator[EntryPage]:
    """All of them."""
    first: int | None = 0
    while first is not None:
        yield (found := page(ledger, first, limit))
        first = found.next


def by_member(ledger: LedgerProbe) -> dict[str, Entry]:
    """The entries of the first page."""
    return {entry.member: entry for entry in page(ledger).entries}


def test_each_stage_of_an_entry(ledger: LedgerProbe) -> None:
    """What a page tells of an entry is what looking at that entry alone tells."""
    ledger.own()
    before = ledger.now_ms()
    ledger.dispatch(["0", "1", "2", "10-20-7"], {"3": "invalid: no"})
    ledger.claim("1", lease_ms=MINUTE_MS)
    ledger.claim("2")
    ledger.outcome("retry", "2")
    found = by_member(ledger)
    assert list(found) == ["0", "1", "2", "3", "10-20-7"]
    for member, entry in found.items():
        alone = view(ledger.client, "", TaskId(ledger.group, *ledger.place, *[int(member.partition("-")[0])] * 2))
        assert (alone.member, alone.state, alone.dispatched_ms) == (member, entry.state, entry.dispatched_ms)
        assert before <= (entry.dispatched_ms or 0) <= page(ledger).now_ms
    assert (found["0"].state.owner, found["0"].state.claims, found["0"].state.error) == (None, 0, None)
    assert (found["1"].state.owner, found["1"].state.claims) == (OWNER, 1)
    assert found["2"].state.due_ms is not None
    assert found["3"].state.error == "invalid: no"


def test_calls_of_dispatch_are_told_apart(ledger: LedgerProbe) -> None:
    """Each entry has the time of its own dispatch."""
    ledger.own()
    ledger.dispatch(["0"])
    first = ledger.now_ms()
    wait_until(lambda: ledger.now_ms() > first)
    ledger.dispatch(["1", "2"])
    times = [entry.dispatched_ms or 0 for entry in page(ledger).entries]
    assert times[0] <= first < times[1] == times[2]


def test_pages_go_on_where_the_last_one_ended(ledger: LedgerProbe) -> None:
    """Every entry once, whatever a page holds; gaps between offsets are none of it."""
    members = ["0", "1", "5-9-3", "12", "13", "900"]
    ledger.own()
    ledger.dispatch(members)
    for limit in range(1, 8):
        found = list(pages(ledger, limit))
        assert [entry.member for one in found for entry in one.entries] == members
        assert all(len(one.entries) <= limit for one in found)
    assert [entry.member for entry in page(ledger, first=2).entries] == ["5-9-3", "12", "13", "900"]


def test_a_page_never_ends_between_a_batch_and_its_first_message(ledger: LedgerProbe) -> None:
    """They begin at one offset: a page has one entry more rather than that the next one misses it."""
    ledger.own()
    ledger.dispatch(["0", "5-9-3", "12-13-2", "20"])
    for batch, first in (("5-9-3", 5), ("12-13-2", 12)):
        ledger.claim(batch)
        large = FailedSingle(first, "x" * 600_000, b"")
        assert ledger.worker.progress(ledger.task(batch), OWNER, first, [large]) == "recorded"
    for limit in range(1, 8):
        found = list(pages(ledger, limit))
        members = [entry.member for one in found for entry in one.entries]
        assert members == ["0", "5", "5-9-3", "12", "12-13-2", "20"]
        assert all(len(one.entries) <= limit + 1 for one in found)


def test_a_large_page_does_not_end_there_either(ledger: LedgerProbe) -> None:
    """Where the first message's state is just small enough for the page, and the batch's no longer is."""
    ledger.own()
    ledger.dispatch(["0", "5-9-3", "20"])
    ledger.claim("5-9-3")
    ledger.worker.progress(ledger.task("5-9-3"), OWNER, 5, [FailedSingle(5, "x", b"")])
    around = len(ledger.call("HGET", ledger.keys.state, "5")) - 1
    stored = ledger.call("HGET", ledger.keys.state, "5").replace(b'"x"', b'"%s"' % (b"x" * (1024 * 1024 - around - 9)))
    ledger.call("HSET", ledger.keys.state, "5", stored)
    assert [[entry.member for entry in one.entries] for one in pages(ledger, 100)] == [["0", "5", "5-9-3"], ["20"]]


def test_a_batch_tells_how_far_it_is(ledger: LedgerProbe) -> None:
    """By the offset up to which nothing is left to do."""
    ledger.own()
    ledger.dispatch(["5-9-3"])
    assert by_member(ledger)["5-9-3"].state.progress is None
    ledger.claim("5-9-3")
    ledger.worker.progress(ledger.task("5-9-3"), OWNER, 7, ())
    assert by_member(ledger)["5-9-3"].state.progress == 7


def test_what_ends_or_comes_between_two_pages(ledger: LedgerProbe) -> None:
    """What has ended is missing from the next page, what was dispatched is there; nothing comes twice."""
    ledger.own()
    ledger.dispatch([str(offset) for offset in range(6)])
    start = page(ledger, limit=2)
    assert start.next is not None
    for member in ("0", "3"):
        ledger.claim(member)
        ledger.outcome("done", member)
    ledger.dispatch(["6"])
    assert [entry.member for entry in page(ledger, start.next).entries] == ["2", "4", "5", "6"]


def test_a_page_of_large_errors_is_cut(ledger: LedgerProbe) -> None:
    """A reply stays small whatever the states hold; the next page goes on behind it."""
    ledger.own()
    ledger.dispatch([], {str(offset): "x" * 300_000 for offset in range(8)})
    found = list(pages(ledger, 100))
    assert len(found) > 1
    assert [entry.member for one in found for entry in one.entries] == [str(offset) for offset in range(8)]


def test_high_offsets_keep_every_digit(ledger: LedgerProbe) -> None:
    """Offsets beyond a million million are still numbers, not powers of ten."""
    offsets = [10**15, 10**15 + 1, 10**15 + 2]
    ledger.own(10**15)
    ledger.dispatch([str(offset) for offset in offsets])
    found = list(pages(ledger, 1))
    assert [entry.member for one in found for entry in one.entries] == [str(offset) for offset in offsets]
    assert found[0].next == 10**15 + 1


def test_what_is_damaged_is_told(ledger: LedgerProbe) -> None:
    """A member that isn't Ferry's is passed over, a state that can't be read is a failure, as for every script."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.call("HSET", ledger.keys.state, "0", "{")
    ledger.call("ZADD", ledger.keys.inflight, 0, "abc", 1, "1-x", 2, "-3")
    found = page(ledger)
    assert found.condition is Condition.DAMAGED
    assert [entry.member for entry in found.entries] == ["0", "1"]
    assert (found.entries[0].state.error or "").startswith("damaged-state")
    assert found.entries[1].state.error is None
    ledger.call("DEL", ledger.keys.times)
    assert [entry.dispatched_ms for entry in page(ledger).entries] == [None, None]


@pytest.mark.parametrize(("key", "condition"), [("head", Condition.ABSENT), ("inflight", Condition.WRONG_TYPE)])
def test_without_a_ledger_there_is_no_page(ledger: LedgerProbe, key: str, condition: Condition) -> None:
    """Nothing is made up."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("DEL", getattr(ledger.keys, key))
    if condition is Condition.WRONG_TYPE:
        ledger.call("SET", ledger.keys.inflight, "something else")
    assert (page(ledger).condition, page(ledger).entries, page(ledger).next) == (condition, (), None)


def test_looking_writes_nothing(ledger: LedgerProbe) -> None:
    """Every key is the same afterwards, also where a state can't be read; the server holds the script to it."""
    ledger.own()
    ledger.dispatch(["0", "1", "2"], {"3": "invalid: no"})
    ledger.claim_with_a_lease_that_is_over("0")
    ledger.call("HSET", ledger.keys.state, "1", "{")
    before = ledger.dump()
    assert len(page(ledger).entries) == 4
    assert ledger.dump() == before
    assert script("page").text.startswith("#!lua flags=no-writes\n")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=25), limit=st.integers(1, 9))
def test_any_ledger_is_read_whole(ledger: LedgerProbe, gaps: list[tuple[int, int]], limit: int) -> None:
    """Singles and batches at any distance: the pages together are the ledger."""
    ledger.client.flushdb()
    ledger.own()
    members, offset = [], 0
    for gap, length in gaps:
        offset += gap
        members.append(f"{offset}-{offset + length}-{length}" if length else str(offset))
        offset += length
    ledger.dispatch(members)
    assert [entry.member for one in pages(ledger, limit) for entry in one.entries] == members
