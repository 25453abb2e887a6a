"""The outbox: never above its limit, no message lost, each settled once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from ferry_producer import outbox as outbox_module
from ferry_producer.delivery import Delivered, Outcome, Undelivered
from ferry_producer.outbox import Outbox
from ferry_producer.recipients import EachSettled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    OnDelivery = Callable[[KafkaError | None, Message], None]


class FakeClient:
    """Acknowledges as many messages at each poll as the plan says, then all."""

    def __init__(self, plan: Iterable[int] = (), queue_size: int = 1_000_000) -> None:
        self.plan = deque(plan)
        self.queue_size = queue_size
        self.waiting: deque[tuple[bytes, OnDelivery]] = deque()
        self.produced: list[bytes] = []
        self.most_waiting = 0
        self.error: KafkaError | None = None
        self.refusal: KafkaError | None = None
        self.refused: set[bytes] = set()
        self.headers: list[object] = []

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes | None,
        partition: int,
        callback: OnDelivery,
        /,
        *,
        headers: object = None,
    ) -> None:
        if self.refusal:
            raise KafkaException(self.refusal)
        if value in self.refused:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if len(self.waiting) >= self.queue_size:
            raise BufferError
        self.waiting.append((value, callback))
        self.produced.append(value)
        self.headers.append(headers)
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def poll(self, timeout: float) -> int:
        count = min(self.plan.popleft() if self.plan else len(self.waiting), len(self.waiting))
        for _ in range(count):
            _, on_delivery = self.waiting.popleft()
            on_delivery(self.error, Message(topic="t", partition=0, offset=len(self.produced)))
        return count

    def purge(self) -> None:
        self.plan.clear()
        self.error = KafkaError(KafkaError._PURGE_QUEUE)


async def send_all(client: FakeClient, values: list[bytes], max_pending: int, senders: int) -> list[list[Outcome]]:
    """Put every value from several tasks at once and wait; the outcomes of each."""
    outbox = Outbox(client, "t", max_pending, EachSettled(), lambda: None)
    outcomes: list[list[Outcome]] = [[] for _ in values]
    numbers = iter(range(len(values)))

    async def sender() -> None:
        for number in numbers:
            await outbox.put([], (outcomes[number].append, values[number], None))

    await asyncio.gather(*(sender() for _ in range(senders)))
    await outbox.emptied()
    assert outbox.pending == 0
    outbox.abandon()
    return outcomes


@settings(max_examples=40, deadline=None)
@given(
    plan=st.lists(st.integers(0, 5), max_size=20),
    count=st.integers(0, 40),
    max_pending=st.integers(1, 8),
    queue_size=st.integers(1, 8),
    senders=st.integers(1, 4),
)
def test_every_message_is_settled_once(
    plan: list[int], count: int, max_pending: int, queue_size: int, senders: int
) -> None:
    """Whatever the pace of the acknowledgements and however small librdkafka's queue, nothing is lost or repeated."""
    client = FakeClient(plan, queue_size)
    values = [str(number).encode() for number in range(count)]
    outcomes = asyncio.run(send_all(client, values, max_pending, senders))
    assert sorted(client.produced) == sorted(values)
    assert all(len(each) == 1 and isinstance(each[0], Delivered) for each in outcomes)
    assert client.most_waiting <= max_pending


async def offer_all(client: FakeClient, values: list[bytes], max_pending: int, at_once: int) -> list[list[Outcome]]:
    """Offer every value, so many at once, until all are handed over; the outcomes of each."""
    outbox = Outbox(client, "t", max_pending, EachSettled(), lambda: None)
    outcomes: list[list[Outcome]] = [[] for _ in values]
    records = [(each.append, value, None) for each, value in zip(outcomes, values, strict=True)]
    while records:
        del records[: outbox.offer([], records[:at_once])]
        assert outbox.pending <= max_pending
        await outbox.room()
    await outbox.emptied()
    assert outbox.offer([], []) == outbox.pending == 0
    outbox.abandon()
    return outcomes


@settings(max_examples=60, deadline=None)
@given(
    plan=st.lists(st.integers(0, 5), max_size=20),
    refused=st.sets(st.integers(0, 40)),
    count=st.integers(0, 40),
    max_pending=st.integers(1, 8),
    queue_size=st.integers(0, 8),
    at_once=st.integers(1, 12),
)
def test_of_many_offered_each_is_settled_once_and_in_order(
    plan: list[int], refused: set[int], count: int, max_pending: int, queue_size: int, at_once: int
) -> None:
    """However many there is room for, and whichever are refused; without a queue each is too large for it."""
    client = FakeClient(plan, queue_size)
    client.refused = {str(number).encode() for number in refused}
    values = [str(number).encode() for number in range(count)]
    outcomes = asyncio.run(offer_all(client, values, max_pending, at_once))
    accepted = [value for value in values if queue_size and value not in client.refused]
    assert client.produced == accepted
    assert [len(each) for each in outcomes] == [1] * count
    assert [value for value, [each] in zip(values, outcomes, strict=True) if isinstance(each, Delivered)] == accepted
    assert client.most_waiting <= max_pending


@pytest.mark.parametrize("headers", [[], [("trace", b"7"), ("trace", b"8")]])
async def test_headers_go_with_every_message(headers: list[tuple[str, str | bytes | None]]) -> None:
    """Those that are offered together have the same ones."""
    client = FakeClient()
    outbox = Outbox(client, "t", 5, EachSettled(), lambda: None)
    outcomes = list[Outcome]()
    assert outbox.offer(headers, [(outcomes.append, b"a", b"k")] * 2) == 2
    await outbox.put(headers, (outcomes.append, b"b", None))
    outbox.abandon()
    assert client.headers == [headers or None] * 3


async def test_who_waits_comes_before_what_is_offered() -> None:
    """An offer takes no slot that somebody waits for."""
    client, outcomes = FakeClient(), list[Outcome]()
    outbox = Outbox(client, "t", 1, EachSettled(), lambda: None)
    assert outbox.offer([], [(outcomes.append, b"1", None), (outcomes.append, b"3", None)]) == 1
    waiting = asyncio.create_task(outbox.put([], (outcomes.append, b"2", None)))
    await asyncio.sleep(0)
    while not outbox.offer([], [(outcomes.append, b"3", None)]):
        await outbox.room()
    await waiting
    await outbox.emptied()
    outbox.abandon()
    assert client.produced == [b"1", b"2", b"3"]


async def test_emptied_waits_for_those_who_wait_for_room() -> None:
    """Reports of all that is under way come at once: it is the turn of the next ones, not the end."""
    client, outcomes = FakeClient(), list[Outcome]()
    outbox = Outbox(client, "t", 2, EachSettled(), lambda: None)
    async with asyncio.TaskGroup() as senders:
        for number in range(6):
            senders.create_task(outbox.put([], (outcomes.append, b"%d" % number, None)))
        await asyncio.sleep(0)
        outbox._poll(0)
        assert (len(outcomes), outbox.pending) == (2, 0)
        await outbox.emptied()
        assert (len(outcomes), outbox.pending) == (6, 0)
    outbox.abandon()


async def test_nobody_waits_for_what_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the client says nothing."""
    monkeypatch.setattr(outbox_module, "PURGE_SECONDS", 0.0)
    client = FakeClient([0] * 10_000)
    client.purge = lambda: None  # type: ignore[method-assign]  # nothing comes of it
    outbox = Outbox(client, "t", 2, EachSettled(), lambda: None)
    await outbox.put([], (lambda _: None, b"x", None))
    waiting = asyncio.create_task(outbox.emptied())
    await asyncio.sleep(0)
    outbox.abandon()
    await asyncio.wait_for(waiting, 5)


async def test_one_sender_keeps_the_order() -> None:
    """Messages are produced in the order they were handed over, also through a full queue."""
    client = FakeClient([0, 1, 0, 2] * 5, queue_size=2)
    values = [str(number).encode() for number in range(50)]
    await send_all(client, values, 10, 1)
    assert client.produced == values


async def put_one(client: FakeClient) -> list[Outcome]:
    """The outcomes of one message."""
    return (await send_all(client, [b"x"], 1, 1))[0]


async def test_a_refused_message_is_undelivered() -> None:
    """librdkafka refuses a message at once: that is its outcome, not an exception."""
    client = FakeClient()
    client.refusal = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    assert await put_one(client) == [Undelivered("Broker: Message size too large", refused=True)]


async def test_a_message_larger_than_the_queue_does_not_wait_for_ever() -> None:
    """With nothing pending a full queue will never have room."""
    [outcome] = await put_one(FakeClient(queue_size=0))
    assert outcome == Undelivered("Broker: Message size too large", refused=True)


@pytest.mark.parametrize(("code", "refused"), [(KafkaError._MSG_TIMED_OUT, False), (KafkaError.INVALID_RECORD, True)])
async def test_a_failed_delivery_says_whether_the_message_is_to_blame(code: int, refused: bool) -> None:
    """No answer is Kafka's silence; an invalid record is refused for what it is."""
    client = FakeClient()
    client.error = KafkaError(code)
    [outcome] = await put_one(client)
    assert isinstance(outcome, Undelivered)
    assert outcome.refused is refused


@pytest.mark.parametrize(("offset", "expected"), [(7, 7), (-1001, None)])
async def test_no_offset_without_acknowledgement(offset: int, expected: int | None) -> None:
    """With acks=0 librdkafka reports an invalid offset; it isn't passed on."""
    client, outcomes = FakeClient(), list[Outcome]()
    outbox = Outbox(client, "t", 1, EachSettled(), lambda: None)
    await outbox.put([], (outcomes.append, b"x", None))
    client.waiting.popleft()[1](None, Message(topic="t", partition=3, offset=offset))
    outbox.abandon()
    assert outcomes == [Delivered("t", 3, expected)]


async def test_abandoned_messages_are_settled() -> None:
    """Giving up still tells each message's outcome."""
    client, outcomes = FakeClient([0] * 100), list[Outcome]()
    outbox = Outbox(client, "t", 10, EachSettled(), lambda: None)
    for _ in range(3):
        await outbox.put([], (outcomes.append, b"x", None))
    outbox.abandon()
    assert outcomes == [Undelivered("given up before it was sent", refused=False)] * 3
    assert outbox.pending == 0


@pytest.mark.parametrize("told", [0, 1, 2, 3])
async def test_abandoned_messages_are_settled_also_if_the_client_says_nothing(
    told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What librdkafka doesn't report after the purge is undelivered; a report that comes later changes nothing."""
    monkeypatch.setattr(outbox_module, "PURGE_SECONDS", 0.0)
    client, outcomes = FakeClient([0] * 100), list[list[Outcome]]()
    outbox = Outbox(client, "t", 10, EachSettled(), lambda: None)
    for _ in range(3):
        outcomes.append([])
        await outbox.put([], (outcomes[-1].append, b"x", None))
    client.plan = deque([told, *[0] * 100])
    client.poll(0)
    client.purge = lambda: None  # type: ignore[method-assign]  # nothing comes of it
    outbox.abandon()
    lost = Undelivered("given up, and Kafka's client didn't say what became of it (may be in the topic)", refused=False)
    assert outcomes == [[Delivered("t", 0, 3)]] * told + [[lost]] * (3 - told)
    assert outbox.pending == 0
    client.plan.clear()
    client.poll(0)
    assert [len(each) for each in outcomes] == [1, 1, 1]


async def test_a_purge_that_fails_leaves_no_message_without_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error isn't worth losing lines."""
    monkeypatch.setattr(outbox_module, "PURGE_SECONDS", 0.0)
    client, outcomes = FakeClient([0] * 100), list[Outcome]()

    def purge() -> None:
        raise KafkaException(KafkaError(KafkaError._STATE))

    client.purge = purge  # type: ignore[method-assign]
    outbox = Outbox(client, "t", 10, EachSettled(), lambda: None)
    await outbox.put([], (outcomes.append, b"x", None))
    outbox.abandon()
    assert [type(outcome) for outcome in outcomes] == [Undelivered]


async def test_an_acknowledgement_is_told() -> None:
    """The end of an outage is noticed by an answer, not by an error."""
    answers = list[bool]()
    client = FakeClient()
    outbox = Outbox(client, "t", 1, EachSettled(), lambda: answers.append(True))
    await outbox.put([], (lambda _: None, b"x", None))
    await outbox.emptied()
    client.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    await outbox.put([], (lambda _: None, b"x", None))
    await outbox.emptied()
    outbox.abandon()
    assert answers == [True]
