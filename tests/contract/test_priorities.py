"""A route with a priority: its messages lie in a list of their own, and everybody looks for them there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferry_console.doctor.redis_side import read_redis
from ferry_console.trace.redis_side import look
from ferry_consumer.partition import Place
from ferry_shared.ledger.keys import PRIORITY_SEPARATOR
from ferry_shared.ledger.redelivery import Transport, redeliver, stranded
from ferry_shared.message import Message
from ferry_shared.record import TaskId
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from ferry_shared.task_message import Copy, TaskTemplate, body_of
from tests.support.ledger_probe import LedgerProbe

ROUTES = """\
from ferry_shared.message import Message
from ferry_shared.routes import Route

routes = [Route({topic!r}, Message, "task", "orders", priority=7)]
"""
LIST = f"orders{PRIORITY_SEPARATOR}6"


@pytest.fixture
def settings(ledger: LedgerProbe, redis_url: str, tmp_path: Path) -> Iterator[ConsumerSettings]:
    """Those of a consumer with that route."""
    name = f"routes_of_{ledger.place.topic}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(ROUTES.format(topic=ledger.place.topic), encoding="utf-8")
    before = list(sys.path)
    yield ConsumerSettings(celery_broker_url=redis_url, consumer_group=ledger.group, ferry_routes=f"{name}:routes")
    sys.path[:] = before
    sys.modules.pop(name, None)


@pytest.fixture
def transport(ledger: LedgerProbe) -> Transport:
    """Two messages of Ferry's are in the list; the ledger has them in flight."""
    ledger.own()
    route = Route(ledger.place.topic, Message, "task", "orders", priority=7)
    place = Place.of(ledger.place, route, route.adapter, "", ledger.group)
    assert place.queue_key == LIST
    template = TaskTemplate(route, ledger.group, ledger.place, ledger.ownership.ledger)
    ledger.queue = place.queue_key
    copies = [Copy(member, "1.1", 1, None, ledger.now_ms()) for member in ("0", "1")]
    ledger.dispatch(["0", "1"], messages=[template.fill(copy, body_of(b"{}")) for copy in copies])
    return Transport(place.queue_key, "unacked", template.stem, template.suffix)


def test_the_search_for_vanished_messages_knows_the_list(ledger: LedgerProbe, transport: Transport) -> None:
    """What waits there is not missed; what is gone from it comes back to it."""
    assert ledger.client.llen(LIST) == 2
    found = stranded(ledger.client, ledger.keys, transport, ledger.ownership, age_ms=0, limit=10)
    assert found.entries == ()
    ledger.client.delete(LIST)
    found = stranded(ledger.client, ledger.keys, transport, ledger.ownership, age_ms=0, limit=10)
    assert [entry.member for entry in found.entries] == ["0", "1"]
    outcome = redeliver(
        ledger.client, ledger.keys, transport, ledger.ownership, found.entries[0],
        message=b"again", age_ms=0, max_deliveries=5, error="",
    )  # fmt: skip
    assert (outcome, ledger.client.lrange(LIST, 0, -1)) == ("enqueued", [b"again"])


def test_a_trace_finds_its_message_there(ledger: LedgerProbe, transport: Transport, settings: ConsumerSettings) -> None:
    """With how many are before it."""
    assert transport.queue_key == LIST
    _, search, problem = look(ledger.client, settings, TaskId(ledger.group, *ledger.place, 1, 1))
    assert problem is None
    assert search is not None
    assert search.ahead == 1


def test_the_doctor_counts_all_lists_of_a_queue(
    ledger: LedgerProbe, transport: Transport, settings: ConsumerSettings
) -> None:
    """Two of one priority, one of another."""
    assert transport.queue_key == LIST
    ledger.client.lpush("orders", "urgent")
    assert read_redis(settings, ["orders"]).queued == {"orders": 3}
