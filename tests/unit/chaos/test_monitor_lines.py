"""MONITOR's lines: what the server escapes is read back, and each push has the cause that came right before."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.ledger.keys import batch_member
from ferry_shared.ledger.scripts import script
from ferry_shared.record import DEFAULT_GROUP, TopicPartition
from ferry_shared.routes import Route
from ferry_shared.task_message import TaskTemplate
from ferry_worker.transport import HAND_BACK
from tests.chaos.monitor_lines import (
    Cause,
    Push,
    PushReader,
    UnackedChange,
    emptied_at,
    unacked_change_of,
    words_of,
)
from tests.support.monitor_line import monitor_line as line

QUEUE = "celery"


def message(task_id: str, tag: str, body: str = "") -> bytes:
    """A Celery message, as far as the reader looks."""
    return orjson.dumps({"body": body, "properties": {"correlation_id": task_id, "delivery_tag": tag}})


@given(st.lists(st.binary(), min_size=1))
def test_words_are_read_back(words: list[bytes]) -> None:
    """Any bytes: quotes, backslashes, line ends, what isn't ASCII."""
    assert words_of(line(*words)) == words


@given(st.text(), st.text())
def test_a_message_is_read_back(task_id: str, body: str) -> None:
    """Whatever its body holds, also another message's beginning."""
    reader = PushReader(QUEUE)
    found = list(reader.read(line(b"LPUSH", b"celery", message(task_id, "tag", body), at=12.25)))

    assert found == [Push(12.25, Cause.TRANSPORT, task_id, "tag")]


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("dispatch", Cause.DISPATCH),
        ("enqueue", Cause.RETRY),
        ("redeliver", Cause.REDELIVERY),
        ("split", Cause.SPLIT),
        ("divide", Cause.DIVISION),
        ("claim", Cause.UNKNOWN),
    ],
)
@pytest.mark.parametrize("whole", [False, True], ids=["by digest", "by text"])
def test_a_scripts_pushes_have_its_cause(name: str, cause: Cause, whole: bool) -> None:
    """Called by digest or, where the server has forgotten it, by its text."""
    reader, wanted = PushReader(QUEUE), script(name)
    call = (b"EVAL", wanted.text.encode()) if whole else (b"EVALSHA", wanted.digest.encode())
    argument = message("a", "t", 'b] "LPUSH" "celery" ')

    assert list(reader.read(line(*call, b"6", b"key", argument))) == []
    assert list(reader.read(line(b"ZADD", b"key", b"1", b"a", client=b"lua"))) == []
    pushed = line(b"LPUSH", b"celery", message("a", "t"), message("b", "u"), client=b"lua")
    assert [(push.task_id, push.tag, push.cause) for push in reader.read(pushed)] == [
        ("a", "t", cause),
        ("b", "u", cause),
    ]


@given(st.lists(st.integers(0, 2**40), min_size=2, unique=True).map(sorted))
def test_a_batch_is_a_push_of_each_of_its_messages(offsets: list[int]) -> None:
    """By its own header, gaps and all; as the consumer makes it."""
    place = TopicPartition("t", 0)
    template = TaskTemplate(Route("t", None, "task", QUEUE), DEFAULT_GROUP, place, "l")
    member, values = batch_member(offsets), [b"{}"] * len(offsets)
    batch = template.first_copies("4.1", 0).batch(member, offsets, [None] * len(offsets), values)
    reader = PushReader(QUEUE)
    list(reader.read(line(b"EVALSHA", script("dispatch").digest.encode(), b"0")))

    pushed = line(b"LPUSH", b"celery", batch, message("t-0-1", "l/t-0-1/4.1.1"), client=b"lua", at=2.5)
    assert list(reader.read(pushed)) == [
        *(Push(2.5, Cause.DISPATCH, f"t-0-{offset}", f"l/t-0-{member}/4.1.1") for offset in offsets),
        Push(2.5, Cause.DISPATCH, "t-0-1", "l/t-0-1/4.1.1"),
    ]


def test_a_clients_push_between_is_the_transports() -> None:
    """Also right behind a script; from a unix socket and with a transaction around it."""
    reader = PushReader(QUEUE)
    list(reader.read(line(b"EVALSHA", script("dispatch").digest.encode(), b"0")))
    list(reader.read(line(b"MULTI")))

    (push,) = reader.read(line(b"RPUSH", b"celery", message("a", "t"), client=b"unix:/tmp/some where/socket"))

    assert push.cause is Cause.TRANSPORT


def test_a_hand_back_by_script_is_the_transports() -> None:
    """What it lifts to get behind it, and puts back, is no new copy; the next script lifts nothing."""
    reader = PushReader(QUEUE)
    lines = [
        line(b"EVAL", HAND_BACK.encode(), b"3", b"unacked_index", b"unacked", b"celery", b"t", b"", message("a", "t")),
        line(b"HDEL", b"unacked", b"t", client=b"lua"),
        line(b"RPOP", b"celery", client=b"lua"),
        line(b"RPOP", b"celery", client=b"lua"),
        *(line(b"RPUSH", b"celery", message(name, name), client=b"lua") for name in ("a", "older", "oldest")),
        line(b"EVALSHA", script("dispatch").digest.encode(), b"0"),
        line(b"LPUSH", b"celery", message("b", "b"), client=b"lua"),
    ]

    found = [(push.task_id, push.cause) for each in lines for push in reader.read(each)]
    assert found == [("a", Cause.TRANSPORT), ("b", Cause.DISPATCH)]


def test_another_scripts_pushes_are_of_unknown_cause() -> None:
    """A script that isn't Ferry's doesn't inherit the one before."""
    reader = PushReader(QUEUE)
    list(reader.read(line(b"EVALSHA", script("dispatch").digest.encode(), b"0")))
    list(reader.read(line(b"EVALSHA", b"f" * 40, b"0")))

    (push,) = reader.read(line(b"LPUSH", b"celery", message("a", "t"), client=b"lua"))

    assert push.cause is Cause.UNKNOWN


@pytest.mark.parametrize("key", [b"ferry.status", b"celery\\x06\\x163", b"unacked", b"elery"])
def test_other_queues_are_not_counted(key: bytes) -> None:
    """Only the queue that was asked for."""
    assert list(PushReader(QUEUE).read(line(b"LPUSH", key, message("a", "t")))) == []


def test_a_copy_that_a_worker_takes_or_acknowledges_is_seen() -> None:
    """kombu notes it in `unacked`, as itself or, on a full server, by a script; no other hash counts."""
    tag = "l/t-0-1/1.1.1"
    taken = line(b"HSET", b"unacked", tag.encode(), b'["", ""]', at=2.5)
    assert unacked_change_of(taken) == UnackedChange(2.5, taken=True, tag=tag)
    assert unacked_change_of(line(b"HSET", b"unacked", tag.encode(), b"x", client=b"lua")) is not None
    removed = line(b"HDEL", b"unacked", tag.encode(), at=3.5)
    assert unacked_change_of(removed) == UnackedChange(3.5, taken=False, tag=tag)
    assert unacked_change_of(line(b"HSET", b"unacked_index", tag.encode(), b"x")) is None
    assert unacked_change_of(line(b"HGET", b"unacked", tag.encode())) is None


def test_a_server_that_is_emptied_is_seen() -> None:
    """By that command only."""
    assert emptied_at(line(b"FLUSHALL", at=2.5)) == 2.5
    assert emptied_at(line(b"LPUSH", b"celery", b'] "FLUSHALL"')) is None


@given(st.binary())
def test_what_is_no_line_is_passed_over(junk: bytes) -> None:
    """MONITOR's own greeting, an error, half a line."""
    assert list(PushReader(QUEUE).read(junk)) == []
    assert unacked_change_of(junk) is None
    assert emptied_at(junk) is None
