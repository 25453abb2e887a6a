"""Records that are taken many at a time become what they would have become one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from ferry_consumer import dispatch
from ferry_consumer.dispatch import DispatchLimits, dispatches_of
from ferry_consumer.partition import Partition, Place, Tenure
from ferry_consumer.plain_run import MAX_RUN_BYTES, PlainRun, plain_run
from ferry_shared.ledger.consumer_ledger import Dispatch, Ownership
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.redelivery import Transport
from ferry_shared.record import TopicPartition
from ferry_shared.replay import REPLAY_HEADER
from ferry_shared.routes import Route
from ferry_shared.task_message import TaskTemplate

PLACE = TopicPartition("t", 0)
MAX_RECORD_BYTES = 60
VALUES = [
    *[b'{"text": "x"}', b'{"text": "%d, \xc3\xa9"}'] * 4, b"{", b"", None, b'{"text": 1}', b'{"text": NaN}',
    b'{"text": "odd"}', b'{"text": "' + b"y" * MAX_RECORD_BYTES + b'"}',
]  # fmt: skip
HEADERS = [*[None] * 6, [("note", b"1")], [(REPLAY_HEADER, b"t-0-4@blue")]]


class Order(BaseModel):
    """A message whose validator can raise anything."""

    text: str

    @field_validator("text")
    @classmethod
    def _even(cls, text: str) -> str:
        if text == "odd":
            raise RuntimeError("a user's own")
        return text


@dataclass(frozen=True)
class Fetched:
    """As much of a confluent_kafka.Message as the dispatch reads."""

    number: int
    content: bytes | None
    named: Any = None
    name: bytes | None = None
    end: bool = False
    kind: int = 1

    def offset(self) -> int:
        return self.number

    def value(self) -> bytes | None:
        return self.content

    def error(self) -> Any:
        return KafkaError(KafkaError._PARTITION_EOF) if self.end else None

    def timestamp(self) -> tuple[int, int]:
        return self.kind, 1_000 + self.number

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def key(self) -> bytes | None:
        return self.name

    def headers(self) -> Any:
        return self.named


ROUTE = Route("t", Order, "task")
TEMPLATE = TaskTemplate(ROUTE, "ferry", PLACE, "ledger")


def calls_of(records: Sequence[Fetched], batch: int) -> tuple[list[Dispatch], list[int]]:
    """The dispatches of a drain from offset 5 on, and what is remembered for dead letters."""
    owned = Partition(Place(PLACE, ROUTE, ROUTE.adapter, LedgerKeys.of("", "ferry", PLACE), "celery"))
    transport = Transport("celery", "unacked", TEMPLATE.stem, TEMPLATE.suffix)
    owned.start(Tenure(Ownership("ledger", 5), "topic-id", TEMPLATE, transport), 5, 5, 0)
    limits = DispatchLimits(MAX_RECORD_BYTES, 3_600, batch)
    return dispatches_of(owned, cast("Any", records), 1_700_000_000_000, limits), sorted(owned.invalid)


fetched = st.builds(
    Fetched,
    st.integers(1, 4),
    st.sampled_from(VALUES),
    st.sampled_from(HEADERS),
    st.sampled_from([None, b"", b"key"]),
    st.sampled_from([False] * 9 + [True]),
    st.sampled_from([0, 1, 2]),
)


@given(st.lists(fetched, max_size=40), st.integers(1, 7), st.integers(1, 9), st.booleans())
def test_many_at_a_time_or_one_by_one(steps: list[Fetched], batch: int, run: int, again: bool) -> None:
    """Whatever is fetched, with gaps, or twice after a seek: the same calls, entries, bytes, and dead letters."""
    offset, records = 0, []
    for step in steps:
        offset += step.number
        records.append(Fetched(offset, step.content, step.named, step.name, step.end, step.kind))
    records += records if again else []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatch, "MAX_RUN_MESSAGES", run)
        many = calls_of(records, batch)
        patched.setattr(dispatch, "plain_run", lambda *_: PlainRun([], [], [], []))
        assert many == calls_of(records, batch)


def test_a_run_ends_before_what_is_not_plain() -> None:
    """And after as many bytes as a batch may hold."""
    adapter = ROUTE.adapter
    plain, odd = Fetched(7, VALUES[0], name=b"key"), Fetched(9, b"{")
    found = plain_run(cast("Any", [plain, odd, plain]), [(), (), ()], adapter, MAX_RECORD_BYTES)
    assert found == PlainRun([7], [1_007], [VALUES[0] or b""], [3])
    assert plain_run(cast("Any", [plain]), [(("note", b"1"),)], adapter, MAX_RECORD_BYTES).values == []
    large = b'{"text": "' + b"y" * (MAX_RUN_BYTES // 2) + b'"}'
    many = [Fetched(offset, large) for offset in range(4)]
    assert plain_run(cast("Any", many), [()] * 4, adapter, MAX_RUN_BYTES).offsets == [0, 1]
