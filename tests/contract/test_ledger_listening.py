"""Which queues workers take from, as they say on a real server: counted by queue, and forgotten in time."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ferry_shared.ledger.client import connect
from ferry_shared.ledger.keys import listening_key
from ferry_shared.ledger.listening import read_listening, tell_listening
from ferry_worker.configuration import worker_settings
from ferry_worker.listening import HOLDS_MS, TELL_EVERY_SECONDS, Listening
from tests.support.eventually import eventually

PREFIX = "blue-"


@pytest.fixture
def client(redis_url: str) -> Any:
    """This test's server."""
    with connect(redis_url) as client:
        yield client


def test_workers_are_counted_by_queue(client: Any) -> None:
    """However often one says it; a group's name has no part in it, the prefix has."""
    for worker, queues in (("a@host", ["orders", "celery"]), ("b@host", ["orders"]), ("a@host", ["orders"])):
        tell_listening(client, PREFIX, worker, queues, HOLDS_MS)
    assert read_listening(client, PREFIX) == {"orders": 2, "celery": 1}
    assert read_listening(client, "") == {}
    assert HOLDS_MS - 1_000 < client.pttl(listening_key(PREFIX)) <= HOLDS_MS


def test_who_ends_takes_it_back(client: Any) -> None:
    """And nobody else's word."""
    tell_listening(client, "", "a@host", ["orders"], HOLDS_MS)
    tell_listening(client, "", "b@host", ["orders"], HOLDS_MS)
    tell_listening(client, "", "a@host", ["orders", "never said"], 0)
    assert read_listening(client, "") == {"orders": 1}


def test_a_word_holds_for_a_while(client: Any) -> None:
    """A worker that was killed is forgotten, also while others go on."""
    tell_listening(client, "", "killed@host", ["orders"], 50)
    tell_listening(client, "", "b@host", ["celery"], HOLDS_MS)
    eventually(lambda: dict(read_listening(client, "") or {}), {"celery": 1})
    assert client.zcard(listening_key("")) == 2
    tell_listening(client, "", "b@host", ["celery"], HOLDS_MS)
    assert client.zcard(listening_key("")) == 1


def test_a_key_that_is_something_else_stops_nobody(client: Any) -> None:
    """Then it can't be told who listens."""
    client.set(listening_key(""), "text")
    tell_listening(client, "", "a@host", ["orders"], HOLDS_MS)
    assert read_listening(client, "") is None


@given(
    said=st.dictionaries(st.text(max_size=8), st.sets(st.text(min_size=1, max_size=8), max_size=3), max_size=4),
    strange=st.lists(st.binary(max_size=8) | st.just(b"[1, 2]") | st.just(b'["a", ""]'), max_size=3),
)
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_names_they_have(client: Any, said: dict[str, set[str]], strange: list[bytes]) -> None:
    """And whatever somebody else put into the key."""
    client.delete(listening_key(""))
    for worker, queues in said.items():
        tell_listening(client, "", worker, queues, HOLDS_MS)
    for member in strange:
        client.zadd(listening_key(""), {member: 9e15})
    everyone = [queue for queues in said.values() for queue in queues]
    assert read_listening(client, "") == {queue: everyone.count(queue) for queue in everyone}


class StandIn:
    """Stands for Celery's consumer: what the step uses of it."""

    def __init__(self, app: Celery, *queues: str) -> None:
        self.app = app
        self.hostname = "a@host"
        self.timer = self
        self.repeated: list[tuple[float, Any, Any]] = []
        self.cancelled = 0
        self.task_consumer: Any = SimpleNamespace(queues=[SimpleNamespace(name=name) for name in queues])

    def call_repeatedly(self, seconds: float, function: Any, arguments: Any) -> Any:
        """Note it."""
        self.repeated.append((seconds, function, arguments))
        return self

    def cancel(self) -> None:
        """Note it."""
        self.cancelled += 1


@pytest.fixture
def stand_in(redis_url: str) -> Any:
    """A worker's consumer that takes from two queues."""
    worker_settings.cache_clear()
    app = Celery(broker=redis_url, set_as_current=False)
    yield StandIn(app, "orders", "celery")
    worker_settings.cache_clear()


def test_a_worker_says_it_from_its_start_to_its_end(client: Any, stand_in: StandIn) -> None:
    """Every few seconds, with the queues that it takes from by then."""
    step = Listening(stand_in)
    step.start(stand_in)
    assert read_listening(client, "") == {"orders": 1, "celery": 1}
    ((seconds, function, arguments),) = stand_in.repeated
    assert seconds == TELL_EVERY_SECONDS < HOLDS_MS / 1000
    client.flushdb()
    stand_in.task_consumer.queues.append(SimpleNamespace(name="added"))
    function(*arguments)
    assert read_listening(client, "") == {"orders": 1, "celery": 1, "added": 1}
    step.stop(stand_in)
    assert (read_listening(client, ""), stand_in.cancelled) == ({}, 1)
    stand_in.task_consumer = None
    step.stop(stand_in)
    assert stand_in.cancelled == 1


def test_a_redis_that_is_away_stops_no_worker(stand_in: StandIn) -> None:
    """It says so later."""
    worker_settings.cache_clear()
    stand_in.app = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)
    began = time.monotonic()
    Listening(stand_in).start(stand_in)
    assert time.monotonic() - began < 5
    assert len(stand_in.repeated) == 1
