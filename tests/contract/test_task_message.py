"""The message that Ferry writes into Redis is the one that Celery itself would have sent."""

import json
from base64 import b64decode
from typing import Any

import pytest
import redis
from celery import Celery
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from kombu import Connection, Consumer, Queue

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


def sent_by_celery(url: str, payload: bytes) -> dict[str, Any]:
    """What `send_task` puts into Redis for the same task."""
    app = Celery(broker=url, set_as_current=False)
    app.send_task(
        ROUTE.task,
        args=[payload.decode()],
        task_id="orders-3-17",
        queue=ROUTE.queue,
        headers={"ferry": json.loads(sent_by_ferry(payload))["headers"]["ferry"]},
        ignore_result=None,
    )
    app.close()
    raw = redis.Redis.from_url(url).rpop(ROUTE.queue)
    assert isinstance(raw, bytes)
    return dict(json.loads(raw))


def sent_by_ferry(payload: bytes) -> bytes:
    """The same, rendered."""
    return TaskTemplate(ROUTE, "ferry", PLACE, "abc").fill(COPY, body_of(payload))


def test_every_field_equals_what_send_task_sends(redis_url: str) -> None:
    """Headers, properties and body, field by field."""
    payload = '{"text": "é☃ \\" \\\\ %s %b {}", "n": 18446744073709551617}'.encode()
    ours, theirs = json.loads(sent_by_ferry(payload)), sent_by_celery(redis_url, payload)
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
