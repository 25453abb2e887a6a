"""What is told of messages: to each one's own function its place, to an account latencies and failures alone."""

from __future__ import annotations

from confluent_kafka import Message

from ferry_producer.account import Account
from ferry_producer.delivery import Delivered, Outcome, Undelivered
from ferry_producer.lines import Line
from ferry_producer.recipients import EachSettled, LinesTold

#: What librdkafka gives as the offset where Kafka confirms nothing (acks=0).
NO_OFFSET = -1001
LOST = Undelivered("lost", refused=False)


def report(offset: int, latency_seconds: float) -> Message:
    """A delivery report."""
    return Message(topic="t", partition=3, offset=offset, latency=latency_seconds)


def test_each_is_told_its_place() -> None:
    """And how long it took, if Kafka has confirmed it."""
    outcomes, recipient = list[Outcome](), EachSettled()
    recipient.delivered(outcomes.append, report(7, 0.25))
    recipient.delivered(outcomes.append, report(NO_OFFSET, 0.25))
    recipient.undelivered(outcomes.append, LOST)
    recipient.reported()
    assert outcomes == [Delivered("t", 3, 7), Delivered("t", 3, None), LOST]
    assert [each.latency_seconds for each in outcomes if isinstance(each, Delivered)] == [0.25, None]


def test_an_account_is_told_at_the_end_of_all_reports() -> None:
    """A failure at once, by its line. Nothing is told twice."""
    account = Account()
    recipient = LinesTold(account)
    for each in (report(7, 0.25), report(8, 0.5)):
        recipient.delivered(Line(1, b"a"), each)
    recipient.undelivered(Line(4, b"b"), LOST)
    assert (account.acknowledged, account.failures) == (0, {"lost": 1})
    recipient.reported()
    recipient.reported()
    assert (account.acknowledged, account.failed) == (2, 1)
    assert [round(each) for each in account.latencies.milliseconds(0.5, 1.0)] == [250, 500]


def test_nobody_knows_how_long_it_took_what_was_not_confirmed() -> None:
    """With acks=0 librdkafka counts until it has written the message."""
    account = Account()
    recipient = LinesTold(account, confirmed=False)
    recipient.delivered(Line(1, b"a"), report(NO_OFFSET, 0.25))
    recipient.reported()
    assert (account.acknowledged, account.latencies.milliseconds(1.0)) == (1, ())
