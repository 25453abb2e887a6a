"""The message that Ferry writes into Redis is the one that Celery itself would have sent."""

import json
from base64 import b64decode
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
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.task_message import ARGUMENTS_SHOWN, Copy, TaskTemplate, body_of

PLACE = TopicPartition("orders", 3)
ROUTE = Route("orders", Message, "handleOrder", "orders-queue")
COPY = Copy("17", "4.1", 1, 1234, 5678)
#: What differs on purpose: a random tag, the sender's name, Celery's reply queue, which the Redis backend ignores, and
#: what logs show of the arguments (`argsrepr` as an option of send_task would go into the properties as well).
SENDERS_OWN = {"origin", "reply_to", "delivery_tag", "argsrepr"}


def sent_by_celery(url: str, payload: bytes, route: Route = ROUTE) -> tuple[str, dict[str, Any]]:
    """What `send_task` puts into Redis for the same task, and into which list."""
    app = Celery(broker=url, set_as_current=False)
    app.send_task(
        route.task,
        args=[payload.decode()],
        task_id="orders-3-17",
        queue=route.queue,
        headers={"ferry": json.loads(sent_by_ferry(payload, route))["headers"]["ferry"]},
        ignore_result=None,
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


def sent_by_ferry(payload: bytes, route: Route = ROUTE) -> bytes:
    """The same, rendered."""
    return TaskTemplate(route, "ferry", PLACE, "abc").fill(COPY, body_of(payload))


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
    name, theirs = sent_by_celery(redis_url, payload, route)
    ours = json.loads(sent_by_ferry(payload, route))
    assert name == queue_key("", route.queue, route.priority)
    assert ours.keys() == theirs.keys()
    for part in ("headers", "properties"):
        assert ours[part].keys() == theirs[part].keys()
        for field in ours[part].keys() - SENDERS_OWN:
            assert (field, ours[part][field]) == (field, theirs[part][field])
    assert json.loads(b64decode(ours["body"])) == json.loads(b64decode(theirs["body"]))
    for field in ("content-type", "content-encoding"):
        assert ours[field] == theirs[field]
    assert ours["headers"]["argsrepr"] == ARGUMENTS_SHOWN


@pytest.fixture
def connection(redis_url: str) -> Any:
    """kombu's own connection to this test's database."""
    with Connection(redis_url) as opened:
        yield opened


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=4))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kombu_reads_the_payload_back_byte_for_byte(connection: Any, redis_url: str, fields: dict[str, Any]) -> None:
    """Whatever JSON a producer sends, `__type__` keys included."""
    payload = json.dumps(fields | {"__type__": "date", "__value__": "x"}, ensure_ascii=False).encode("utf-8", "ignore")
    redis.Redis.from_url(redis_url).lpush(ROUTE.queue, sent_by_ferry(payload))
    received: list[Any] = []
    consumer = Consumer(connection, [Queue(ROUTE.queue)], accept=["json"])

    def receive(body: Any, message: Any) -> None:
        received.append((body, message.headers))
        message.ack()

    consumer.register_callback(receive)
    with consumer:
        connection.drain_events(timeout=5)
    (body, headers), *_ = received
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
