"""The message that Ferry writes into Redis is the one that Celery itself would have sent."""

import json
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis
from celery import Celery
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from kombu import Connection, Consumer, Queue
from kombu.transport.redis import Channel as RedisChannel

from ferry_shared.ledger.keys import PRIORITY_SEPARATOR, PRIORITY_STEPS, queue_key, queue_keys
from ferry_shared.ledger.worker_ledger import TaskHeader
from ferry_shared.message import Message
from ferry_shared.record import TopicPartition, group_suffix
from ferry_shared.routes import Route
from ferry_shared.task_message import ARGUMENTS_SHOWN, Copy, TaskTemplate, body_of
from ferry_worker.batched import messages_of

PLACE = TopicPartition("orders", 3)
ROUTE = Route("orders", Message, "handleOrder", "orders-queue")
COPY = Copy("17", "4.1", 1, 1234, 5678)
#: What differs on purpose: a random tag, the sender's name, Celery's reply queue, which the Redis backend ignores, and
#: what logs show of the arguments (`argsrepr` as an option of send_task would go into the properties as well).
SENDERS_OWN = {"origin", "reply_to", "delivery_tag", "argsrepr"}


def sent_by_celery(
    url: str, ours: bytes, argument: str | list[str], task_id: str, route: Route, *, ignore_result: bool | None
) -> tuple[str, dict[str, Any]]:
    """What `send_task` puts into Redis for the same task, with the Ferry header of `ours`, and into which list."""
    app = Celery(broker=url, set_as_current=False)
    app.send_task(
        route.task,
        args=[argument],
        task_id=task_id,
        queue=route.queue,
        headers={"ferry": json.loads(ours)["headers"]["ferry"]},
        ignore_result=ignore_result,
        priority=route.priority,
        time_limit=route.time_limit_seconds,
        soft_time_limit=route.soft_time_limit_seconds,
    )
    app.close()
    with redis.Redis.from_url(url) as client:
        (name,) = [key.decode() for key in client.scan_iter(_type="list")]
        raw = client.rpop(name)
    assert isinstance(raw, bytes)
    return name, dict(json.loads(raw))


def assert_every_field_is_equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """But for what differs on purpose."""
    assert ours.keys() == theirs.keys()
    for part in ("headers", "properties"):
        assert ours[part].keys() == theirs[part].keys()
        for field in ours[part].keys() - SENDERS_OWN:
            assert (field, ours[part][field]) == (field, theirs[part][field])
    assert json.loads(b64decode(ours["body"])) == json.loads(b64decode(theirs["body"]))
    for field in ("content-type", "content-encoding"):
        assert ours[field] == theirs[field]
    assert ours["headers"]["argsrepr"] == ARGUMENTS_SHOWN


def sent_by_ferry(payload: bytes, route: Route = ROUTE) -> bytes:
    """The message of one record, rendered."""
    return TaskTemplate(route, "ferry", PLACE, "abc").fill(COPY, body_of(payload))


@pytest.mark.parametrize("group", ["ferry", "100 %d", "caf\u00e9 \U0001f600"])
@pytest.mark.parametrize("timestamp_ms", [1234, None, -1])
def test_first_copies_are_those_that_are_filled_one_by_one(group: str, timestamp_ms: int | None) -> None:
    """Whatever is filled in first; percent signs stay what they are."""
    template, payload = TaskTemplate(ROUTE, group, PLACE, "abc"), b'{"share": "100 %b"}'
    one_by_one = template.fill(replace(COPY, timestamp_ms=timestamp_ms), body_of(payload))
    assert template.first_copies(COPY.token, COPY.enqueued_ms).single("17", timestamp_ms, payload) == one_by_one
    assert json.loads(one_by_one)["headers"]["id"] == f"orders-3-17{'' if group == 'ferry' else '@' + group}"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        *({"priority": priority} for priority in range(1, 10)),
        {"time_limit_seconds": 30},
        {"time_limit_seconds": 2.5, "soft_time_limit_seconds": 2},
        {"soft_time_limit_seconds": 7, "priority": 9},
    ],
    ids=str,
)
def test_every_field_equals_what_send_task_sends(redis_url: str, changed: dict[str, Any]) -> None:
    """Headers, properties and body, field by field, and the list that it lies in, whatever options a route has."""
    payload = '{"text": "é☃ \\" \\\\ %s %b {}", "n": 18446744073709551617}'.encode()
    route = replace(ROUTE, **changed)
    ours = sent_by_ferry(payload, route)
    name, theirs = sent_by_celery(redis_url, ours, payload.decode(), "orders-3-17", route, ignore_result=None)
    assert name == queue_key("", route.queue, route.priority)
    assert_every_field_is_equal(json.loads(ours), theirs)


def batch_sent_by_ferry(payloads: Sequence[bytes], route: Route = ROUTE, group: str = "ferry") -> bytes:
    """The message of a batch, rendered."""
    copies = TaskTemplate(route, group, PLACE, "abc").first_copies("4.1", 5678)
    return copies.batch("17-25-3", [17, 20, 25], [1234, None, -1], payloads)


@pytest.mark.parametrize(
    ("changed", "group"),
    [
        ({}, "ferry"),
        ({}, 'a"b%s{}\\é @b'),
        ({"priority": 4, "time_limit_seconds": 2.5, "soft_time_limit_seconds": 2}, "100%"),
    ],
    ids=str,
)
def test_every_field_of_a_batch_equals_what_send_task_sends(
    redis_url: str, changed: dict[str, Any], group: str
) -> None:
    """The same as for one message, with its texts in a list; whatever characters group and payloads have."""
    payloads = ['{"text": "é☃ \\" %s %b {}", "n": 18446744073709551617}'.encode(), b'"%"', b"[1]"]
    route = replace(ROUTE, **changed)
    ours, task_id = batch_sent_by_ferry(payloads, route, group), f"orders-3-17..25{group_suffix(group)}"
    texts = [payload.decode() for payload in payloads]
    name, theirs = sent_by_celery(redis_url, ours, texts, task_id, route, ignore_result=True)
    assert name == queue_key("", route.queue, route.priority)
    assert_every_field_is_equal(json.loads(ours), theirs)
    assert json.loads(ours)["properties"]["delivery_tag"] == f"abc/orders-3-17-25-3{group_suffix(group)}/4.1.1"


def test_the_header_of_a_batch() -> None:
    """Where each of its messages comes from, in order."""
    fields = json.loads(batch_sent_by_ferry([b"1", b"2", b"3"]))["headers"]["ferry"]
    assert fields == {
        "v": 2, "ledger": "abc", "group": "ferry", "topic": "orders", "partition": 3, "member": "17-25-3",
        "token": "4.1", "copy": 1, "enqueued_ms": 5678, "offsets": [17, 20, 25], "timestamps_ms": [1234, None, -1],
    }  # fmt: skip
    header = TaskHeader.of(fields)
    assert (header.task_id.text, header.timestamp_ms) == ("orders-3-17..25", None)
    assert [(one.task_id, one.timestamp_ms) for one in messages_of(header, ["1", "2", "3"])] == [
        ("orders-3-17", 1234), ("orders-3-20", None), ("orders-3-25", -1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"v": 1}, {"v": 3}, {"v": None}, {"offsets": []}, {"offsets": [17]}, {"timestamps_ms": [1, 2]},
        {"offsets": [17], "timestamps_ms": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_is_none(changed: dict[str, Any]) -> None:
    """Of another version of Ferry, or with offsets and times that don't belong together."""
    fields = json.loads(batch_sent_by_ferry([b"1", b"2", b"3"]))["headers"]["ferry"]
    with pytest.raises((ValueError, KeyError)):
        TaskHeader.of(fields | changed)


@pytest.fixture
def connection(redis_url: str) -> Any:
    """kombu's own connection to this test's database."""
    with Connection(redis_url) as opened:
        yield opened


def received_by_kombu(connection: Any, redis_url: str, message: bytes) -> tuple[Any, Any]:
    """Body and headers, as a worker gets them."""
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(ROUTE.queue, message)
    received: list[Any] = []
    consumer = Consumer(connection, [Queue(ROUTE.queue)], accept=["json"])

    def receive(body: Any, message: Any) -> None:
        received.append((body, message.headers))
        message.ack()

    consumer.register_callback(receive)
    with consumer:
        connection.drain_events(timeout=5)
    (found,) = received
    return found[0], found[1]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=3, max_size=3))
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kombu_reads_a_batch_back_byte_for_byte(connection: Any, redis_url: str, texts: list[str]) -> None:
    """Each payload as one text, in order."""
    payloads = [json.dumps({"text": text, "__type__": "date"}, ensure_ascii=False).encode() for text in texts]
    body, headers = received_by_kombu(connection, redis_url, batch_sent_by_ferry(payloads, group="é%s"))
    assert body[0] == [[payload.decode() for payload in payloads]]
    assert TaskHeader.of(headers["ferry"]).task_id.text == headers["id"] == "orders-3-17..25@é%s"
    assert headers["ignore_result"] is True


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=4))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kombu_reads_the_payload_back_byte_for_byte(connection: Any, redis_url: str, fields: dict[str, Any]) -> None:
    """Whatever JSON a producer sends, `__type__` keys included."""
    payload = json.dumps(fields | {"__type__": "date", "__value__": "x"}, ensure_ascii=False).encode("utf-8", "ignore")
    body, headers = received_by_kombu(connection, redis_url, sent_by_ferry(payload))
    assert body[0] == [payload.decode()]
    assert TaskHeader.of(headers["ferry"]).task_id.text == headers["id"] == "orders-3-17"


def test_the_delivery_tag_is_unique_per_publish() -> None:
    """Two copies with one tag would share a record in `unacked`, and acknowledging one would delete the other."""
    template = TaskTemplate(ROUTE, "ferry", PLACE, "abc")
    copies = [Copy("17", token, copy, None, 0) for token in ("1.1", "1.2") for copy in (1, 2)]
    tags = {json.loads(template.fill(copy, b"x"))["properties"]["delivery_tag"] for copy in copies}
    assert tags == {f"abc/orders-3-17/{token}.{copy}" for token in ("1.1", "1.2") for copy in (1, 2)}


def test_a_group_other_than_the_default_is_part_of_the_task_id() -> None:
    """Two groups on one topic must not share results, whatever characters the name has."""
    group = 'a"b%s{}\\é'
    message = json.loads(TaskTemplate(ROUTE, group, PLACE, "abc").fill(COPY, b"x"))
    assert message["headers"]["id"] == message["properties"]["correlation_id"] == f"orders-3-17@{group}"
    assert message["headers"]["ferry"]["group"] == group


def test_a_queues_lists_are_kombus() -> None:
    """In the order in which a worker takes from them; the steps and what stands between are kombu's defaults."""
    assert (RedisChannel.priority_steps, RedisChannel.sep) == (list(PRIORITY_STEPS), PRIORITY_SEPARATOR)
    channel = RedisChannel.__new__(RedisChannel)
    for priority in range(10):
        assert queue_key("", "orders", priority) == channel._q_for_pri("orders", priority)
    assert queue_keys("blue-", "orders") == tuple(
        f"blue-{channel._q_for_pri('orders', step)}" for step in RedisChannel.priority_steps
    )
