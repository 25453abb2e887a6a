"""Whose messages wait in a queue, told by its Celery messages as the consumer makes them."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.ledger.keys import batch_member
from ferry_shared.message import Message
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.task_message import TaskTemplate
from tests.support.monitor_line import monitor_line
from tests.support.queued_ids import last_ids, queued_ids

#: It looks like the id and the offsets of others; in a message it is a part of the body, in base64.
PAYLOAD = b'{"id": "orders-3-999", "offsets": [997, 998]}'


def message_of(offsets: Sequence[int], group: str = "ferry") -> bytes:
    """The Celery message of these records of one partition: of a single one, or of a batch."""
    template = TaskTemplate(Route("orders", Message, "handleOrder"), group, TopicPartition("orders", 3), "abc")
    copies = template.first_copies("4.1", 5678)
    if len(offsets) == 1:
        return copies.single(str(offsets[0]), 1234, PAYLOAD)
    return copies.batch(batch_member(offsets), offsets, [1234] * len(offsets), [PAYLOAD] * len(offsets))


def as_it_lies_there(*messages: bytes) -> bytes:
    """All that LRANGE answers, in one text."""
    return b"\n".join(messages)


def as_monitor_prints(*messages: bytes) -> bytes:
    """The line of a script's push."""
    return monitor_line(b"LPUSH", b"celery", *messages, client=b"lua")


Form = Callable[..., bytes]
both_forms = pytest.mark.parametrize("form", [as_it_lies_there, as_monitor_prints])


@both_forms
@pytest.mark.parametrize(("group", "suffix"), [("ferry", ""), ("audit", "@audit")])
def test_a_single_message(form: Form, group: str, suffix: str) -> None:
    """It has one id, with its group."""
    assert list(queued_ids(form(message_of([17], group)))) == [f"orders-3-17{suffix}"]


@both_forms
@pytest.mark.parametrize(("group", "suffix"), [("ferry", ""), ("audit", "@audit")])
def test_a_batch_with_gaps(form: Form, group: str, suffix: str) -> None:
    """Each of its messages by itself, none of what lies between them."""
    found = list(queued_ids(form(message_of([17, 20, 25], group))))
    assert found == [f"orders-3-17{suffix}", f"orders-3-20{suffix}", f"orders-3-25{suffix}"]


@both_forms
def test_a_single_message_before_a_batch(form: Form) -> None:
    """What follows a message says nothing of it."""
    found = list(queued_ids(form(message_of([17]), message_of([18, 20]), message_of([30]))))
    assert found == ["orders-3-17", "orders-3-18", "orders-3-20", "orders-3-30"]


@both_forms
def test_a_queue_without_messages(form: Form) -> None:
    """Nobody's."""
    assert list(queued_ids(form())) == []


OFFSETS = st.lists(st.integers(0, 1_000), min_size=1, max_size=9, unique=True).map(sorted)


@both_forms
@given(messages=st.lists(OFFSETS, max_size=9))
def test_whatever_is_queued(form: Form, messages: list[list[int]]) -> None:
    """All of it, in order, as often as it is there."""
    found = list(queued_ids(form(*map(message_of, messages))))
    assert found == [f"orders-3-{offset}" for offsets in messages for offset in offsets]


@pytest.mark.parametrize(
    ("task_id", "count", "expected"),
    [
        ("orders-3-17", 1, ["orders-3-17"]),
        ("orders-3-17..20", 4, ["orders-3-17", "orders-3-18", "orders-3-19", "orders-3-20"]),
        ("orders-3-17..20", 2, ["orders-3-19", "orders-3-20"]),
        ("orders-3-17..20@audit", 1, ["orders-3-20@audit"]),
        ("orders-3-17..20", 0, []),
    ],
)
def test_the_last_messages_of_a_batch(task_id: str, count: int, expected: list[str]) -> None:
    """Those of which its worker had recorded nothing: it goes from the first to the last."""
    assert last_ids(task_id, count) == expected
