"""Delivery tags, of single messages and of batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.ledger.keys import batch_member
from tests.chaos.monitor_lines import Cause
from tests.chaos.tags import Tag, copy_before, first_cause, is_batch, task_in
from tests.support.queued_ids import all_ids

OFFSETS = st.integers(0, 2**40)


def test_a_tag_is_taken_apart_and_put_together() -> None:
    """And names the copy that it replaces."""
    assert Tag.of("l/t-0-1/4.2.3") == Tag("l", "t-0-1", epoch=4, attempt=2, copy=3)
    assert copy_before("l/t-0-1/4.2.3") == "l/t-0-1/4.2.2"
    assert copy_before("l/t-0-1/4.2.1") is None
    assert task_in("l/t-0-1/4.2.1") == "t-0-1"
    assert task_in("0b7a9f1e-no-tag-of-ferry") == ""


@given(OFFSETS, st.integers(2, 1_000), st.integers(0, 99))
def test_a_batchs_tag_has_the_ids_of_its_messages(first: int, count: int, partition: int) -> None:
    """As the ledger names a batch, and as its task id does."""
    member = batch_member(range(first, first + count))
    tag = f"l/a-b-{partition}-{member}/1.1.1"

    assert is_batch(tag)
    assert list(Tag.of(tag).task_ids) == all_ids(f"a-b-{partition}-{first}..{first + count - 1}")
    assert len(Tag.of(tag).task_ids) == count


@given(OFFSETS, st.integers(0, 99))
def test_a_single_messages_tag_has_its_id(offset: int, partition: int) -> None:
    """Also where the topic's name has hyphens."""
    tag = f"l/a-b-{partition}-{offset}/1.1.1"

    assert not is_batch(tag)
    assert Tag.of(tag).task_ids == (f"a-b-{partition}-{offset}",)


@pytest.mark.parametrize(
    ("later", "is_next"),
    [
        ("l/t-0-7/4.2.1", True),
        ("l/t-0-5/4.2.1", True),
        ("l/t-0-9/4.2.2", True),
        ("l/t-0-10/4.2.1", False),
        ("l/t-0-4/4.2.1", False),
        ("l/t-1-7/4.2.1", False),
        ("l/t-0-7/4.1.1", False),
        ("l/t-0-7/5.2.1", False),
        ("m/t-0-7/4.2.1", False),
    ],
)
def test_the_attempt_after_a_batch_is_one_of_its_messages(later: str, *, is_next: bool) -> None:
    """With the next attempt's number, under the same epoch and ledger."""
    assert Tag.of(later).is_attempt_after(Tag.of("l/t-0-5-9-5/4.1.1")) is is_next


@pytest.mark.parametrize(
    ("tag", "cause"),
    [
        ("l/t-0-1/4.1.1", Cause.DISPATCH),
        ("l/t-0-1/4.2.1", Cause.RETRY),
        ("l/t-0-1/4.1.2", Cause.REDELIVERY),
        ("l/t-0-1/4.2.3", Cause.REDELIVERY),
        ("l/t-0-5-9-5/4.1.1", Cause.DISPATCH),
    ],
)
def test_a_tag_tells_who_queued_the_copy(tag: str, cause: Cause) -> None:
    """First attempt, later attempt, later copy."""
    assert first_cause(tag) is cause


def test_a_later_attempt_of_what_was_in_a_batch_may_be_any_of_three() -> None:
    """Retried, split off, divided; what else the tag says stays."""
    assert first_cause("l/t-0-1/4.2.1", left_batch=True) is Cause.LEFT_BATCH
    assert first_cause("l/t-0-1/4.1.1", left_batch=True) is Cause.DISPATCH
    assert first_cause("l/t-0-1/4.2.2", left_batch=True) is Cause.REDELIVERY
