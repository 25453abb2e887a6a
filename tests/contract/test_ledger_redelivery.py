"""The scripts that find and replace what the transport has lost, on a real server: one test an outcome."""

import pytest

from ferry_shared.ledger.consumer_ledger import Ownership
from ferry_shared.ledger.redelivery import Redelivered, Stranded, Transport, redeliver, stranded
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.task_message import Copy, TaskTemplate
from tests.support.ledger_probe import FIRST_TOKEN, LEDGER, LedgerProbe, wait_until

AGE_MS = 5
UNACKED = "unacked-of-this-test"
LONG_AGO_MS = 1


def transport(ledger: LedgerProbe) -> Transport:
    """Where this ledger's messages are."""
    return Transport(ledger.queue, UNACKED, "topic-0-", "@group")


def found(ledger: LedgerProbe, age_ms: int = AGE_MS, limit: int = 10) -> list[str]:
    """The members that the first look finds."""
    look = stranded(ledger.client, ledger.keys, transport(ledger), ledger.ownership, age_ms=age_ms, limit=limit)
    return [entry.member for entry in look.entries]


def again(
    ledger: LedgerProbe, member: str, *, copy: int = 1, token: str = FIRST_TOKEN, deliveries: int = 5
) -> Redelivered:
    """The second look at a member."""
    entry = Stranded(member, token, copy, b"")
    return redeliver(
        ledger.client, ledger.keys, transport(ledger), ledger.ownership, entry,
        message=b"the next copy", age_ms=AGE_MS, max_deliveries=deliveries, error="never-acknowledged: why",
    )  # fmt: skip


def vanish(ledger: LedgerProbe, *members: str) -> None:
    """Dispatch members whose messages are nowhere, and wait until they are old enough."""
    ledger.dispatch(members)
    ledger.call("DEL", ledger.queue)
    age(ledger)


def age(ledger: LedgerProbe, milliseconds: int = AGE_MS) -> None:
    """Wait by the server's clock."""
    until = ledger.now_ms() + milliseconds
    wait_until(lambda: ledger.now_ms() > until)


def waiting(ledger: LedgerProbe, enqueued_ms: int) -> None:
    """Put a message of Ferry's at the old end of the queue."""
    ledger.call("RPUSH", ledger.queue, f'{{"headers": {{"ferry": {{"enqueued_ms": {enqueued_ms}}}}}}}')


def test_what_is_nowhere_is_found_and_queued_again(ledger: LedgerProbe) -> None:
    """Under the same token, as the next copy."""
    ledger.own()
    vanish(ledger, "0", "1")
    assert found(ledger) == ["0", "1"]
    assert again(ledger, "0") is Redelivered.ENQUEUED
    assert ledger.queued() == [b"the next copy"]
    assert (ledger.state("0")["token"], ledger.state("0")["copy"], ledger.state("0")["deliveries"]) == (
        FIRST_TOKEN,
        2,
        2,
    )
    assert again(ledger, "0") is Redelivered.STALE


def test_after_a_truncation_to_nothing_it_still_looks(ledger: LedgerProbe) -> None:
    """The call that crossed offset 0 is forgotten: it has no end that the look could read."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.own(0, drop_from=0)
    assert (ledger.times(), found(ledger)) == ([], [])
    ledger.dispatch(["0"])
    vanish(ledger, "0")
    age(ledger)
    assert found(ledger) == ["0"]


def test_only_so_many_are_found_at_once(ledger: LedgerProbe) -> None:
    """The oldest first."""
    ledger.own()
    vanish(ledger, "0", "1", "2")
    assert found(ledger, limit=2) == ["0", "1"]


def test_a_young_entry_is_left_alone(ledger: LedgerProbe) -> None:
    """Its message may be on its way."""
    ledger.own()
    vanish(ledger, "0")
    assert found(ledger, age_ms=60_000) == []


def test_the_spacing_doubles_with_each_delivery(ledger: LedgerProbe) -> None:
    """A second copy is given twice the time."""
    ledger.own()
    vanish(ledger, "0")
    assert again(ledger, "0") is Redelivered.ENQUEUED
    ledger.call("DEL", ledger.queue)
    enqueued = ledger.state("0")["enqueued"]
    wait_until(lambda: found(ledger) == ["0"])
    assert ledger.now_ms() - enqueued >= 2 * AGE_MS


def test_what_a_worker_has_taken_is_left_alone(ledger: LedgerProbe) -> None:
    """Its delivery tag is in `unacked`, whatever its age."""
    ledger.own()
    vanish(ledger, "0", "1")
    tag = f"{LEDGER}/topic-0-0@group/{FIRST_TOKEN}.1"
    ledger.call("HSET", UNACKED, tag, "taken")
    ledger.call("ZADD", f"{UNACKED}_index", 1, tag)
    assert found(ledger) == ["1"]
    assert again(ledger, "0") is Redelivered.STALE
    assert ledger.queued() == []


def test_what_may_still_wait_in_the_queue_is_left_alone(ledger: LedgerProbe) -> None:
    """A message as old as the entry, or older, stands at the end of the queue: the entry's own may be behind it."""
    ledger.own()
    vanish(ledger, "0")
    waiting(ledger, LONG_AGO_MS)
    assert found(ledger) == []
    assert again(ledger, "0") is Redelivered.STALE


def test_younger_messages_in_the_queue_show_that_it_does_not_wait(ledger: LedgerProbe) -> None:
    """The queue is in order: what was queued before them is no longer in it."""
    ledger.own()
    vanish(ledger, "0")
    waiting(ledger, ledger.now_ms() + 60_000)
    assert found(ledger) == ["0"]


def test_messages_put_back_in_the_wrong_order_are_seen(ledger: LedgerProbe) -> None:
    """A worker that shuts down puts its reserved messages back, the youngest outermost."""
    ledger.own()
    vanish(ledger, "0")
    young = ledger.now_ms() + 60_000
    for enqueued_ms in (young, LONG_AGO_MS, young, young):
        waiting(ledger, enqueued_ms)
    assert found(ledger) == []


def test_a_foreign_message_at_the_end_of_the_queue_tells_nothing(ledger: LedgerProbe) -> None:
    """Other tasks may share the queue: then nobody knows how old what waits is."""
    ledger.own()
    vanish(ledger, "0")
    ledger.call("RPUSH", ledger.queue, '{"headers": {}}')
    assert found(ledger) == []


@pytest.mark.parametrize("outcome", ["fail", "retry"])
def test_what_waits_for_something_else_is_left_alone(ledger: LedgerProbe, outcome: str) -> None:
    """A dead letter is being written, or a retry is due later."""
    ledger.own()
    vanish(ledger, "0")
    ledger.claim("0")
    ledger.outcome(outcome, "0")
    age(ledger)
    assert found(ledger) == []
    assert again(ledger, "0", token=ledger.state("0")["token"], copy=ledger.state("0")["copy"]) is Redelivered.STALE


def test_a_live_claim_is_left_alone_and_one_that_is_over_is_not(ledger: LedgerProbe) -> None:
    """A worker that died without its message coming back must not strand the task."""
    ledger.own()
    vanish(ledger, "0", "1")
    ledger.claim("0")
    ledger.claim_with_a_lease_that_is_over("1")
    assert found(ledger) == ["1"]
    assert again(ledger, "1") is Redelivered.ENQUEUED


def test_after_too_many_deliveries_the_entry_fails(ledger: LedgerProbe) -> None:
    """Its dead letter is due at once."""
    ledger.own()
    vanish(ledger, "0")
    assert again(ledger, "0", deliveries=1) is Redelivered.EXHAUSTED
    assert ledger.due("0").error == "never-acknowledged: why"
    assert ledger.queued() == []


def test_what_has_ended_or_moved_on_is_not_queued(ledger: LedgerProbe) -> None:
    """Between the two looks a worker may have finished it."""
    ledger.own()
    vanish(ledger, "0", "1")
    ledger.claim("0")
    ledger.outcome("done", "0")
    assert again(ledger, "0") is Redelivered.GONE
    assert again(ledger, "1", copy=2) is Redelivered.STALE
    assert again(ledger, "1", token="1.2") is Redelivered.STALE


def test_another_owner_and_a_lost_ledger_are_refused(ledger: LedgerProbe) -> None:
    """A consumer that was replaced queues nothing."""
    ledger.own()
    vanish(ledger, "0")
    replaced = ledger.as_other(Ownership(LEDGER, ledger.ownership.epoch - 1))
    assert found(replaced) == []
    assert again(replaced, "0") is Redelivered.REFUSED
    ledger.call("DEL", ledger.keys.head)
    assert again(ledger, "0") is Redelivered.NO_LEDGER


def test_large_messages_are_not_searched_to_their_end(ledger: LedgerProbe) -> None:
    """The look happens inside the server: with 1 MB messages waiting it must stay short."""
    ledger.own()
    vanish(ledger, "0")
    place, route = TopicPartition("topic", 0), Route("topic", dict, "task", ledger.queue)
    template = TaskTemplate(route, "group", place, LEDGER)
    young = ledger.now_ms() + 60_000
    for offset in range(1, 30):
        ledger.call(
            "RPUSH", ledger.queue, template.fill(Copy(str(offset), FIRST_TOKEN, 1, None, young), b"x" * 1_000_000)
        )
    ledger.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
    took_us = []
    for _ in range(5):
        ledger.call("SLOWLOG", "RESET")
        assert found(ledger) == ["0"]
        took_us.append(max(duration for _, _, duration, *_ in ledger.call("SLOWLOG", "GET", "10")))
    ledger.call("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    # The shortest: what else runs on the machine is not to be measured.
    assert min(took_us) < 100_000


def test_an_old_entry_hides_nothing_that_was_dispatched_later(ledger: LedgerProbe) -> None:
    """Each look takes a piece of the ledger and says where the next one begins: more calls than a piece has come."""
    ledger.own()
    calls = 1_100
    for number in range(calls):
        ledger.dispatch([str(number)])
    ledger.call("DEL", ledger.queue)
    age(ledger)
    for member in map(str, range(calls - 1)):
        ledger.call("ZREM", ledger.keys.inflight, member)
    where, owner = transport(ledger), ledger.ownership
    nothing = stranded(ledger.client, ledger.keys, where, owner, age_ms=AGE_MS, limit=10)
    assert (nothing.entries, nothing.next) == ((), 1_000)
    rest = stranded(ledger.client, ledger.keys, where, owner, age_ms=AGE_MS, limit=10, first=nothing.next)
    assert ([entry.member for entry in rest.entries], rest.next) == ([str(calls - 1)], 0)


def test_the_next_look_begins_after_the_last_entry_that_was_found(ledger: LedgerProbe) -> None:
    """Where the limit ends a look the rest of its piece comes next."""
    ledger.own()
    vanish(ledger, "0", "1", "2")
    where, owner = transport(ledger), ledger.ownership
    two = stranded(ledger.client, ledger.keys, where, owner, age_ms=AGE_MS, limit=2)
    rest = stranded(ledger.client, ledger.keys, where, owner, age_ms=AGE_MS, limit=2, first=two.next)
    assert ([entry.member for entry in two.entries], [entry.member for entry in rest.entries]) == (["0", "1"], ["2"])
    assert (two.next, rest.next) == (2, 0)
