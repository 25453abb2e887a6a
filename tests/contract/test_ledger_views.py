"""The scripts with which people look at a ledger, on a real server: they tell the truth, and write nothing."""

import json

import orjson
import pytest

from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.entry_view import EntryView, QueueSearch, search_queue, view
from ferry_shared.ledger.group_view import LedgerView, find_places, view_ledgers
from ferry_shared.ledger.keys import LedgerKeys, unacked_key
from ferry_shared.ledger.singles import FailedSingle
from ferry_shared.record import TaskId, TopicPartition
from ferry_shared.routes import Route
from ferry_shared.task_message import Copy, TaskTemplate, body_of
from tests.support.ledger_probe import LEDGER, MINUTE_MS, OWNER, LedgerProbe, wait_until


def overview(ledger: LedgerProbe) -> LedgerView:
    """Look at the ledger as a whole."""
    (found,) = view_ledgers(ledger.client, "", ledger.group, [ledger.place])
    return found


def entry(ledger: LedgerProbe, offset: int) -> EntryView:
    """Look at one offset."""
    return view(ledger.client, "", task_id(ledger, offset))


def task_id(ledger: LedgerProbe, offset: int, last: int | None = None) -> TaskId:
    """The task id of an offset."""
    return TaskId(ledger.group, *ledger.place, offset, offset if last is None else last)


def messages(ledger: LedgerProbe, *members: str) -> list[bytes]:
    """The Celery messages of these members, as the consumer makes them."""
    template = TaskTemplate(Route(ledger.place.topic, str, "task"), ledger.group, ledger.place, LEDGER)
    return [template.fill(Copy(member, "1.1", 1, None, 0), body_of(b'"%s"' % member.encode())) for member in members]


def test_an_overview_is_what_the_ledger_says(ledger: LedgerProbe) -> None:
    """Position, committed, counts, the lowest entry and when it was dispatched, by the server's clock."""
    ledger.own(10)
    before = ledger.now_ms()
    ledger.dispatch(["10", "11-20-7"], {"21": "invalid: no"})
    dispatched = ledger.now_ms()
    wait_until(lambda: ledger.now_ms() > dispatched)
    ledger.dispatch(["30"])
    ledger.claim("10")
    ledger.outcome("done", "10")

    seen = overview(ledger)
    assert seen.condition is Condition.SOUND
    assert seen.head is not None
    assert (seen.head.position, seen.head.committed, seen.in_flight) == (31, 10, 9)
    assert (seen.lowest, seen.dead_letters, seen.restored, seen.rewound) == ("11-20-7", 0, 0, 0)
    assert seen.dispatched_ms is not None
    assert before <= seen.dispatched_ms <= dispatched < seen.now_ms


def test_without_a_ledger_there_is_nothing_to_see(ledger: LedgerProbe) -> None:
    """Nothing is made up, and nothing is made."""
    assert overview(ledger).condition is Condition.ABSENT
    assert overview(ledger).head is None
    assert entry(ledger, 3).head is None
    assert ledger.dump() == {}


@pytest.mark.parametrize(
    ("key", "condition"),
    [("head", Condition.WRONG_TYPE), ("inflight", Condition.WRONG_TYPE), ("position", Condition.DAMAGED)],
)
def test_a_damaged_ledger_is_told_and_hides_no_other(ledger: LedgerProbe, key: str, condition: Condition) -> None:
    """One partition that can't be read is one row that says so."""
    ledger.own()
    ledger.dispatch(["0"])
    if key == "position":
        ledger.call("HSET", ledger.keys.head, "position", "many")
    else:
        name = getattr(ledger.keys, key)
        ledger.call("DEL", name)
        ledger.call("SET", name, "something else")
    other = TopicPartition(ledger.place.topic, 1)

    first, second = view_ledgers(ledger.client, "", ledger.group, [ledger.place, other])
    assert (first.condition, second.condition) == (condition, Condition.ABSENT)
    assert entry(ledger, 0).condition is condition


def test_what_nobody_has_written_is_damaged(ledger: LedgerProbe) -> None:
    """Members and states that are none of Ferry's end in a word, not in a traceback."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("HSET", ledger.keys.state, "0", "{")
    state = entry(ledger, 0).state
    assert state is not None
    assert (state.error or "").startswith("damaged-state")
    ledger.call("ZADD", ledger.keys.inflight, 0, "abc")
    assert overview(ledger).condition is Condition.DAMAGED
    assert entry(ledger, 5).condition is Condition.DAMAGED


def test_each_stage_of_an_entry(ledger: LedgerProbe) -> None:
    """Queued, claimed, waiting for a retry, failed, gone: state, times and what was stored."""
    ledger.own()
    before = ledger.now_ms()
    ledger.dispatch(["0"])
    queued = entry(ledger, 0)
    assert queued.state is not None
    assert (queued.member, queued.state.token, queued.state.copy, queued.state.claims) == ("0", "1.1", 1, 0)
    assert queued.dispatched_ms == queued.state.enqueued_ms
    assert before <= queued.state.enqueued_ms <= queued.now_ms
    assert (queued.state.owner, queued.state.claimed_ms, queued.state.due_ms, queued.state.error) == (None,) * 4

    ledger.claim("0", lease_ms=MINUTE_MS)
    running = entry(ledger, 0)
    assert running.state is not None
    assert running.state.owner == OWNER
    assert running.state.claimed_ms is not None
    assert running.state.lease_ms - running.state.claimed_ms == MINUTE_MS

    ledger.outcome("retry", "0")
    retrying = entry(ledger, 0)
    assert retrying.state is not None
    assert retrying.state.due_ms is not None
    assert (retrying.state.token, retrying.state.owner, retrying.payload) == ("1.2", None, b"payload")

    ledger.enqueue(ledger.due("0"))
    ledger.claim("0", "1.2")
    ledger.outcome("fail", "0", "1.2")
    failed = entry(ledger, 0)
    assert failed.state is not None
    assert failed.state.error == "ValueError: no"
    ledger.clear("0", "1.2")
    gone = entry(ledger, 0)
    assert (gone.member, gone.state, gone.payload, gone.dispatched_ms) == (None, None, b"", queued.dispatched_ms)


def test_an_offset_inside_a_batch_belongs_to_it(ledger: LedgerProbe) -> None:
    """A batch holds every offset from its first to its last; those around it are none of it."""
    ledger.own(10)
    ledger.dispatch(["10-20-8", "25"])
    assert [entry(ledger, offset).member for offset in (9, 10, 15, 20, 21, 25, 26)] == [
        None, "10-20-8", "10-20-8", "10-20-8", None, "25", None,
    ]  # fmt: skip


def test_a_message_of_a_batch_that_goes_on_by_itself(ledger: LedgerProbe) -> None:
    """Its own entry tells of it, and hides neither the batch nor what comes after it in there."""
    ledger.own(10)
    ledger.dispatch(["10-20-8", "25"])
    ledger.claim("10-20-8")
    failed = [FailedSingle(offset, "ValueError: no", b"") for offset in (10, 12)]
    assert ledger.worker.progress(ledger.task("10-20-8"), OWNER, 13, failed) == "recorded"
    assert [entry(ledger, offset).member for offset in (9, 10, 11, 12, 13, 20, 21, 25)] == [
        None, "10", "10-20-8", "12", "10-20-8", "10-20-8", None, "25",
    ]  # fmt: skip
    batch = entry(ledger, 15)
    assert batch.state is not None
    assert (batch.messages, batch.state.progress) == (8, 13)
    assert batch.batch_of(task_id(ledger, 15)) == task_id(ledger, 10, 20)
    assert (entry(ledger, 12).messages, entry(ledger, 12).batch_of(task_id(ledger, 12))) == (1, None)


def test_a_batch_is_found_by_its_own_id(ledger: LedgerProbe) -> None:
    """By its first and last offset, whatever else begins there; another span is another batch."""
    ledger.own(10)
    ledger.dispatch(["10-20-8", "25"])
    ledger.claim("10-20-8")
    ledger.worker.progress(ledger.task("10-20-8"), OWNER, 10, [FailedSingle(10, "ValueError: no", b"")])

    def batch(first: int, last: int) -> str | None:
        return view(ledger.client, "", task_id(ledger, first, last)).member

    assert batch(10, 20) == "10-20-8"
    assert [batch(*span) for span in ((10, 19), (11, 20), (10, 21), (25, 26), (9, 10))] == [None] * 5


def test_behind_as_many_singles_as_a_batch_can_have(ledger: LedgerProbe) -> None:
    """Every message but the last of the largest batch has failed by itself: the last one is still found in it."""
    member = "10-1009-1000"
    ledger.own(10)
    ledger.dispatch(["5", member])
    ledger.claim(member)
    failed = [FailedSingle(offset, "no", b"") for offset in range(10, 1_009)]
    ledger.worker.progress(ledger.task(member), OWNER, 1_008, failed)
    assert [entry(ledger, offset).member for offset in (1_008, 1_009, 1_010)] == ["1008", member, None]


def test_of_what_is_committed_no_time_is_made_up(ledger: LedgerProbe) -> None:
    """The ledger forgets dispatches below the committed offset; a later one's time is not given out as theirs."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.dispatch(["1"])
    ledger.claim("0")
    ledger.outcome("done", "0")
    assert entry(ledger, 0).dispatched_ms is not None
    ledger.committed(1)
    assert entry(ledger, 0).dispatched_ms is None
    assert entry(ledger, 1).dispatched_ms is not None
    assert entry(ledger, 2).dispatched_ms is None


def test_a_message_that_a_worker_has_taken(ledger: LedgerProbe) -> None:
    """kombu keeps it in `unacked` by its delivery tag, until it is acknowledged."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    tag = json.loads(messages(ledger, "1")[0])["properties"]["delivery_tag"]
    ledger.call("HSET", unacked_key(""), tag, "…")
    assert [entry(ledger, offset).taken for offset in (0, 1)] == [False, True]


def test_a_message_is_found_in_its_queue(ledger: LedgerProbe) -> None:
    """How many a worker takes before it; also behind more messages than one script looks at."""
    members = [str(offset) for offset in range(1, 300)]
    ledger.own(1)
    ledger.dispatch(members, messages=messages(ledger, *members))

    def search(offset: int, seconds: float = 5.0) -> QueueSearch:
        return search_queue(ledger.client, ledger.queue, task_id(ledger, offset), entry(ledger, offset), seconds)

    assert [search(offset).ahead for offset in (1, 2, 11, 299)] == [0, 1, 10, 298]
    ledger.call("LPUSH", ledger.queue, *[b"x" * 3_000_000] * 3)
    assert search(1).ahead == 0
    assert search(1, seconds=0.0) == QueueSearch(None, 20, complete=False)
    ledger.call("RPOP", ledger.queue)
    assert search(1) == QueueSearch(None, 301, complete=True)


def test_a_message_that_was_written_again_is_found(ledger: LedgerProbe) -> None:
    """What hands a message back may spell the same JSON in another way, with its letters as they are."""
    probe = LedgerProbe.__new__(LedgerProbe)
    probe.__dict__.update(ledger.__dict__, group='gr"öße')
    probe.keys = LedgerKeys.of("", probe.group, probe.place)
    probe.own()
    (message,) = messages(probe, "0")
    again = orjson.dumps(json.loads(message))
    assert again != message
    for spelling in (message, again):
        probe.call("DEL", probe.queue)
        if spelling is message:
            probe.dispatch(["0"], messages=[message])
        else:
            probe.call("LPUSH", probe.queue, again)
        found = search_queue(probe.client, probe.queue, task_id(probe, 0), entry(probe, 0), 5.0)
        assert found.ahead == 0


def test_looking_writes_nothing(ledger: LedgerProbe) -> None:
    """Every key is the same afterwards; the server holds the scripts to it (`no-writes`)."""
    ledger.own()
    ledger.dispatch(["0", "1"], {"2": "invalid: no"})
    ledger.claim_with_a_lease_that_is_over("0")
    before = ledger.dump()
    overview(ledger)
    for offset in range(4):
        seen = entry(ledger, offset)
        search_queue(ledger.client, ledger.queue, task_id(ledger, offset), seen, 5.0)
    assert ledger.dump() == before


def test_ledgers_are_found_by_their_keys(ledger: LedgerProbe) -> None:
    """All of the group's and no other's, whatever characters its name has, among many other keys."""
    group = "a*b?[c]\\{:}%^-"
    for number in range(50):
        ledger.call("SET", f"celery-task-meta-{number}", "x")
    for name, topic, partition in (
        (group, "orders", 0),
        (group, "orders", 11),
        (group, "t.x_y-z", 3),
        ("axb", "no", 0),
    ):
        place = TopicPartition(topic, partition)
        ledger.call("HSET", LedgerKeys.of("pre*", name, place).head, "format", "1")
        ledger.call("SET", LedgerKeys.of("pre*", name, place).times, "x")
    expected = [TopicPartition("orders", 0), TopicPartition("orders", 11), TopicPartition("t.x_y-z", 3)]
    assert find_places(ledger.client, "pre*", group, 5.0) == (expected, True)
    assert find_places(ledger.client, "", group, 5.0) == ([], True)
