"""Records that are taken many at a time become what they would have become one by one."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import pytest
from confluent_kafka import KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from ferry_consumer import dispatch
from ferry_consumer.dispatch import DispatchLimits, dispatches_of
from ferry_consumer.plain_run import MAX_RUN_BYTES, PlainRun, plain_run
from ferry_shared.ledger.dispatches import Dispatch
from ferry_shared.replay import REPLAY_HEADER
from ferry_shared.routes import Route
from tests.support.fetched_message import Headers, fetched
from tests.support.held_partition import held_partition

MAX_RECORD_BYTES = 60
VALUES = [
    *[b'{"text": "x"}', b'{"text": "%d, \xc3\xa9"}'] * 4, b"{", b"", None, b'{"text": 1}', b'{"text": NaN}',
    b'{"text": "odd"}', b'{"text": "' + b"y" * MAX_RECORD_BYTES + b'"}',
]  # fmt: skip
HEADERS: list[Headers | None] = [*[None] * 6, [("note", b"1")], [(REPLAY_HEADER, b"t-0-4@blue")]]


class Order(BaseModel):
    """A message whose validator can raise anything."""

    text: str

    @field_validator("text")
    @classmethod
    def _even(cls, text: str) -> str:
        if text == "odd":
            raise RuntimeError("a user's own")
        return text


class Step(NamedTuple):
    """What comes next in the log, so many offsets further on."""

    offsets: int
    value: bytes | None
    headers: Headers | None
    key: bytes | None
    is_end: bool
    timestamp_kind: int

    def message(self, offset: int) -> Message:
        """As it is fetched."""
        error, timestamp = KafkaError._PARTITION_EOF if self.is_end else None, (self.timestamp_kind, 1_000 + offset)
        return fetched(offset, self.value, key=self.key, headers=self.headers, timestamp=timestamp, error=error)


ROUTE = Route("t", Order, "task")


def calls_of(records: Sequence[Message], batch: int) -> tuple[list[Dispatch], list[int]]:
    """The dispatches of a drain from offset 5 on, and what is remembered for dead letters."""
    owned = held_partition(ROUTE, 5)
    limits = DispatchLimits(MAX_RECORD_BYTES, 3_600, batch)
    return dispatches_of(owned, records, 1_700_000_000_000, limits), sorted(owned.invalid)


steps_of_a_log = st.builds(
    Step,
    st.integers(1, 4),
    st.sampled_from(VALUES),
    st.sampled_from(HEADERS),
    st.sampled_from([None, b"", b"key"]),
    st.sampled_from([False] * 9 + [True]),
    st.sampled_from([0, 1, 2]),
)


@given(st.lists(steps_of_a_log, max_size=40), st.integers(1, 7), st.integers(1, 9), st.booleans())
def test_many_at_a_time_or_one_by_one(steps: list[Step], batch: int, run: int, again: bool) -> None:
    """Whatever is fetched, with gaps, or twice after a seek: the same calls, entries, bytes, and dead letters."""
    offsets = accumulate(step.offsets for step in steps)
    records = [step.message(offset) for step, offset in zip(steps, offsets, strict=True)] * (2 if again else 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatch, "MAX_RUN_MESSAGES", run)
        many = calls_of(records, batch)
        patched.setattr(dispatch, "plain_run", lambda *_: PlainRun([], [], [], []))
        assert many == calls_of(records, batch)


def test_a_run_ends_before_what_is_not_plain() -> None:
    """And after as many bytes as a batch may hold."""
    adapter = ROUTE.adapter
    plain, odd = fetched(7, VALUES[0], key=b"key", timestamp=(1, 1_007)), fetched(9, b"{")
    found = plain_run([plain, odd, plain], [(), (), ()], adapter, MAX_RECORD_BYTES)
    assert found == PlainRun([7], [1_007], [VALUES[0] or b""], [3])
    assert plain_run([plain], [(("note", b"1"),)], adapter, MAX_RECORD_BYTES).values == []
    large = b'{"text": "' + b"y" * (MAX_RUN_BYTES // 2) + b'"}'
    many = [fetched(offset, large) for offset in range(4)]
    assert plain_run(many, [()] * 4, adapter, MAX_RUN_BYTES).offsets == [0, 1]
