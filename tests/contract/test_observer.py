"""The observer of the chaos runs, on a real Valkey: it sees each queued copy, whoever queued it, over restarts."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu import Connection

from ferry_shared.ledger.redelivery import Stranded
from ferry_shared.ledger.redelivery import Transport as Places
from ferry_shared.ledger.singles import Divided, QueuedSingle, divide
from ferry_shared.ledger.worker_ledger import Recorded
from ferry_shared.record import DEFAULT_GROUP
from ferry_shared.routes import Route
from ferry_shared.task_message import TaskTemplate
from ferry_worker.transport import Transport
from tests.chaos.copies import Happened, read_copies
from tests.chaos.evidence_files import read_attachments, read_pushes, repeated_tasks
from tests.chaos.monitor_lines import Cause, Push
from tests.chaos.observation import PUSHES_FILE, Observer
from tests.chaos.routes import QUEUE
from tests.support.clean_environment import clean_environment
from tests.support.eventually import eventually
from tests.support.ledger_probe import FIRST_TOKEN, LEDGER, OWNER, LedgerProbe, wait_until
from tests.support.valkey_server import ValkeyServer

TRANSPORT = f"{Transport.__module__}:{Transport.__name__}"
ROOT = Path(__file__).parents[2]


class Observed:
    """A server, its observer, and what that has noted."""

    def __init__(self, directory: Path) -> None:
        self.server = ValkeyServer(directory / "valkey", persistence="append-only")
        environment = clean_environment() | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        }
        self.observer = Observer(self.server.unix_socket_path, directory, environment)
        self.notes = directory / PUSHES_FILE
        self.server.start(self.observer.wait_attached)

    def restart(self) -> None:
        """kill -9, and a start with what is on disk."""
        self.server.kill()
        self.server.start(self.observer.wait_attached)

    def pushes(self) -> list[Push]:
        """What was seen so far."""
        return read_pushes(self.notes.read_text().splitlines())

    def tags(self) -> list[str]:
        """The tags of that."""
        return [push.tag for push in self.pushes()]


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[Observed]:
    """One that runs."""
    found = Observed(tmp_path)
    try:
        yield found
    finally:
        found.server.stop()
        found.observer.close()


def message(tag: str, body: str = "") -> bytes:
    """A Celery message, as far as anybody looks."""
    return orjson.dumps({"properties": {"correlation_id": "id", "delivery_tag": tag}, "body": body})


def test_each_script_and_client_is_told_apart(observed: Observed) -> None:
    """A dispatch, a restore by a client with and without a transaction, and a push into another queue."""
    with LedgerProbe(observed.server.url, "group", "topic") as probe:
        probe.queue = QUEUE
        probe.own()
        probe.dispatch(["0", "1"], messages=[message("a"), message("b")])
        probe.client.rpush(QUEUE, message("c"))
        with probe.client.pipeline(transaction=True) as pipeline:
            pipeline.lpush(QUEUE, message("d"))
            pipeline.hdel("unacked", "x")
            pipeline.execute()
        probe.client.lpush("other", message("e"))
        probe.inspect()
        probe.client.lpush(QUEUE, message("f"))

    eventually(observed.tags, ["a", "b", "c", "d", "f"])
    assert [push.cause for push in observed.pushes()] == [*[Cause.DISPATCH] * 2, *[Cause.TRANSPORT] * 3]


@given(bodies=st.lists(st.text(), min_size=1, max_size=5), junk=st.binary())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_a_message_is_read_as_the_server_shows_it(
    observed: Observed, bodies: list[str], junk: bytes
) -> None:
    """Quotes, line ends, control characters; and commands with any bytes in between."""
    before, tags = len(observed.tags()), [str(number) for number in range(len(bodies))]
    with observed.server.client() as client:
        client.set(b"junk" + junk, junk)
        client.lpush(QUEUE, *(message(tag, body) for tag, body in zip(tags, bodies, strict=True)))

    eventually(lambda: observed.tags()[before:], tags)


def test_a_restart_hides_nothing(observed: Observed) -> None:
    """The port opens only when the observer is there again; what it had not seen it finds in the queue."""
    with observed.server.client() as client:
        client.lpush(QUEUE, message("l/id/1.1.1"))
    eventually(observed.tags, ["l/id/1.1.1"])
    observed.restart()
    with observed.server.client() as client:
        client.lpush(QUEUE, message("l/id/1.1.2"))

    eventually(observed.tags, ["l/id/1.1.1", "l/id/1.1.2"])
    assert len(set(read_attachments(observed.notes.read_text().splitlines()))) == 2


def test_what_was_queued_while_nobody_looked_is_found(observed: Observed, tmp_path: Path) -> None:
    """Waiting in the queue or taken by a worker: as after a kill in the middle of what MONITOR had to tell."""
    observed.observer.close()
    with observed.server.client() as client:
        client.lpush(QUEUE, message("l/id/1.1.1"))
        client.hset("unacked", "tag", orjson.dumps([orjson.loads(message("l/id/1.2.1")), "", QUEUE]))
        client.hset("unacked", "other", orjson.dumps([orjson.loads(message("l/id/9.9.9")), "", "ferry.status"]))
    again = tmp_path / "again"
    again.mkdir()
    observer = Observer(observed.server.unix_socket_path, again, clean_environment() | {"PYTHONPATH": str(ROOT)})
    try:
        observer.wait_attached(observed.server.unix_socket_path)
    finally:
        observer.close()

    found = read_pushes((again / PUSHES_FILE).read_text().splitlines())
    assert [(push.tag, push.cause) for push in found] == [("l/id/1.1.1", Cause.DISPATCH), ("l/id/1.2.1", Cause.RETRY)]


def kombu_message(tag: str, enqueued_ms: int) -> bytes:
    """One that kombu can deliver and hand back."""
    properties = {
        "correlation_id": "id", "delivery_tag": tag, "body_encoding": "base64", "delivery_mode": 2, "priority": 0,
        "delivery_info": {"exchange": QUEUE, "routing_key": QUEUE},
    }  # fmt: skip
    headers = {"ferry": {"enqueued_ms": enqueued_ms}}
    content = {"content-encoding": "utf-8", "content-type": "text/plain"}
    return orjson.dumps({"body": "", "headers": headers, "properties": properties, **content})


def test_what_a_worker_does_with_a_copy_is_seen(observed: Observed) -> None:
    """By Ferry's own transport: taken, handed back behind an older one, taken again, acknowledged; then FLUSHALL."""
    first, older = "l/id/1.1.1", "l/id/1.1.2"

    def steps() -> dict[str, list[Happened]]:
        copies = read_copies(observed.notes.read_text().splitlines(), {"id"})
        return {tag: [step.what for step in steps] for tag, steps in copies.items()}

    with observed.server.client() as client:
        with Connection(observed.server.url, transport=TRANSPORT) as connection:
            queue = connection.SimpleQueue(QUEUE)
            client.lpush(QUEUE, kombu_message(first, 2))
            taken = queue.get(timeout=10.0)
            client.lpush(QUEUE, kombu_message(older, 1))
            taken.requeue()
            for tag in (older, first):
                again = queue.get(timeout=10.0)
                assert again.delivery_tag == tag
                again.ack()
            queue.close()
        client.flushall()

    h = Happened
    eventually(
        steps,
        {
            first: [h.QUEUED, h.TAKEN, h.HANDED_BACK, h.TAKEN, h.ACKNOWLEDGED, h.FORGOTTEN],
            older: [h.QUEUED, h.TAKEN, h.ACKNOWLEDGED, h.FORGOTTEN],
        },
    )
    assert [(push.tag, push.cause) for push in observed.pushes()] == [
        (tag, Cause.TRANSPORT) for tag in (first, older, first)
    ]


def test_a_batch_and_what_leaves_it_is_seen(observed: Observed) -> None:
    """By the scripts of worker and consumer, with messages as Ferry makes them: each message by its own id."""
    first, second, offsets = "0-2-3", "3-4-2", (0, 1, 2, 3, 4)
    with LedgerProbe(observed.server.url, DEFAULT_GROUP, "topic") as probe:
        probe.queue = QUEUE
        probe.own()
        template = TaskTemplate(Route("topic", None, "task", QUEUE), DEFAULT_GROUP, probe.place, LEDGER)
        before, after = (template.first_copies(token, probe.now_ms()) for token in (FIRST_TOKEN, "1.2"))
        singles = [QueuedSingle(offset, after.single(str(offset), None, b"{}")) for offset in offsets]
        batches = [
            before.batch(member, own, [None] * len(own), [b"{}"] * len(own))
            for member, own in ((first, offsets[:3]), (second, offsets[3:]))
        ]
        probe.dispatch([first, second], messages=batches)
        probe.claim(first)
        assert probe.worker.split(probe.task(first), OWNER, QUEUE, 0, singles[1:3]) is Recorded.RECORDED
        probe.client.delete(QUEUE)
        wait_until(lambda: divide_all(probe, second, singles[3:]) is Divided.DIVIDED)

    tags = {member: f"{LEDGER}/topic-0-{member}/{FIRST_TOKEN}.1" for member in (first, second)}
    alone = {offset: f"{LEDGER}/topic-0-{offset}/1.2.1" for offset in offsets}
    eventually(
        lambda: [(push.cause, push.task_id, push.tag) for push in observed.pushes()],
        [
            *((Cause.DISPATCH, f"topic-0-{offset}", tags[first]) for offset in offsets[:3]),
            *((Cause.DISPATCH, f"topic-0-{offset}", tags[second]) for offset in offsets[3:]),
            *((Cause.SPLIT, f"topic-0-{offset}", alone[offset]) for offset in offsets[1:3]),
            *((Cause.DIVISION, f"topic-0-{offset}", alone[offset]) for offset in offsets[3:]),
        ],
    )
    copies = read_copies(observed.notes.read_text().splitlines(), repeated_tasks(observed.pushes(), []))
    assert [step.what for step in copies[tags[second]]] == [Happened.QUEUED, Happened.REPLACED]


def divide_all(probe: LedgerProbe, member: str, singles: list[QueuedSingle]) -> Divided:
    """As a consumer does it whose batch has vanished since a moment."""
    return divide(
        probe.client, probe.keys, Places(QUEUE, "unacked", "topic-0-", ""), probe.ownership,
        Stranded(member, FIRST_TOKEN, 1, b""), age_ms=5, failed=False, singles=singles,
    ).outcome  # fmt: skip


def test_the_time_is_the_servers(observed: Observed) -> None:
    """Seconds since 1970, on this machine."""
    before = time.time()
    with observed.server.client() as client:
        client.lpush(QUEUE, message("a"))
    eventually(observed.tags, ["a"])

    (push,) = observed.pushes()
    assert before - 0.1 <= push.at <= time.time() + 0.1
