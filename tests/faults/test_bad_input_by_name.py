"""Bad input by its name, the whole way: each ends as done or as a dead letter, and leaves no other trace."""

import gzip
import json
import random
from typing import Any, NamedTuple

import pytest

from tests.support.bad_input_routes import FAIL, OTHER_TASK, TASK
from tests.support.bad_input_system import DONE, BadInputSystem, Place, Sent
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.raw_produce import OddRecord, produce_odd

MEGABYTE = 1_048_588  # Kafka's default limit for a batch
FORGED = "2026-01-31 12:00:00.123 INFO    ferry.worker [messages-0-1] forged"
ACTING = "\r\n\x1b[2J\x1b]0;owned\x07\x85\u2028\u202e\x00"
RANDOM = random.Random(4)


class Case(NamedTuple):
    """A record, and how it must end: `done`, or the dead letter's reason."""

    name: str
    record: Sent
    ends: str


def message(text: str = "x", **more: object) -> bytes:
    """A valid message."""
    return json.dumps({"text": text} | more).encode()


def nested(depth: int) -> bytes:
    """A valid text beside arrays in arrays."""
    return b'{"text": "x", "deep": ' + b"[" * depth + b"]" * depth + b"}"


def number(digits: bytes) -> bytes:
    """A valid text beside a number."""
    return b'{"text": "x", "number": ' + digits + b"}"


def padded(size: int) -> bytes:
    """A valid message of exactly `size` bytes that doesn't compress well."""
    start, end = b'{"text": "x", "pad": "', b'"}'
    return (
        start
        + RANDOM.randbytes(size)[: size - len(start) - len(end)].hex().encode()[: size - len(start) - len(end)]
        + end
    )


LARGEST = MEGABYTE - 100  # less what a batch and a record add
BYTES = [
    Case("100,000 nested arrays", Sent(nested(100_000)), "not-json"),
    Case("1,000 nested arrays", Sent(nested(1_000)), "invalid"),
    Case("100 nested arrays", Sent(nested(100)), DONE),
    Case("a number of 10,000 digits", Sent(number(b"9" * 10_000)), "not-json"),
    Case("a number of 300 digits", Sent(number(b"9" * 300)), DONE),
    Case("a number beyond a double", Sent(number(b"1e400")), "not-json"),
    Case("an integer beyond 64 bits", Sent(number(b"18446744073709551617")), DONE),
    Case("a negative integer beyond 64 bits", Sent(number(b"-9223372036854775809")), DONE),
    Case("duplicate keys", Sent(b'{"text": "first", "text": "last"}'), DONE),
    Case("NaN", Sent(number(b"NaN")), "not-json"),
    Case("Infinity", Sent(number(b"-Infinity")), "not-json"),
    Case("a lone surrogate, escaped", Sent(b'{"text": "\\ud800"}'), "not-json"),
    Case("a lone surrogate, as bytes", Sent(b'{"text": "\xed\xa0\x80"}'), "not-json"),
    Case("a byte-order mark", Sent(b"\xef\xbb\xbf" + message()), "not-json"),
    Case("UTF-16", Sent(message().decode().encode("utf-16")), "not-json"),
    Case("UTF-32", Sent(message().decode().encode("utf-32-le")), "not-json"),
    Case("an empty value", Sent(b""), "empty"),
    Case("a tombstone", Sent(None, b"key"), "empty"),
    Case("no key, no value", Sent(None), "empty"),
    Case("one byte", Sent(b"\x00"), "not-json"),
    Case("null", Sent(b"null"), "invalid"),
    Case("a text", Sent(b'"text"'), "invalid"),
    Case("two documents", Sent(message() + message()), "not-json"),
    Case("white space around", Sent(b" \n" + message() + b"\t\r\n"), DONE),
    Case("a comment", Sent(message() + b"// comment"), "not-json"),
    Case("pickle", Sent(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."), "not-json"),
    Case("gzip", Sent(gzip.compress(message())), "not-json"),
    Case("NUL in the text", Sent(message("a\x00b")), DONE),
    Case("1 MB of wrong items", Sent(b'{"text": "x", "items": [' + b",".join([b'""'] * 340_000) + b"]}"), "invalid"),
    Case("1 MB of small lists", Sent(b'{"text": "x", "e": [' + b",".join([b"[1]"] * 260_000) + b"]}"), DONE),
    Case("100,000 members", Sent(json.dumps({"text": "x"} | {f"{n:x}": 0 for n in range(90_000)}).encode()), DONE),
    Case("a text that is too long", Sent(message("x" * 65_537)), "invalid"),
    Case("a year before 1", Sent(message(sent_at="0000-01-01T00:00:00Z")), "invalid"),
    Case("the first moment", Sent(message(sent_at="0001-01-01T00:00:00+23:59")), DONE),
    Case("the last moment", Sent(message(sent_at="9999-12-31T23:59:59-23:59")), DONE),
]
SIZES = [
    Case("valid at the broker's limit", Sent(padded(LARGEST)), DONE),
    Case("invalid at the broker's limit", Sent(RANDOM.randbytes(LARGEST)), "not-json"),
    Case("a key of 1 MB", Sent(message("large key"), RANDOM.randbytes(LARGEST - 100)), DONE),
    Case("a key of 1 MB, invalid", Sent(b"{", RANDOM.randbytes(LARGEST - 100)), "not-json"),
    Case("a header of 1 MB", Sent(b"{", None, [("large", RANDOM.randbytes(LARGEST - 100))]), "not-json"),
    Case("1,000 headers", Sent(message(), None, [(f"h{n}", b"v") for n in range(1_000)]), DONE),
]
UNFOLDING = [
    Case("compressed, 8 MB", Sent(message("x", pad="0" * 8_000_000)), "too-large"),
    Case("compressed, one byte too large", Sent(padded(1_048_589)), "too-large"),
    Case("compressed, as large as may be", Sent(message("x", pad="0" * (1_048_588 - len(message("x", pad=""))))), DONE),
]
CELERY_HEADERS = [
    (name, json.dumps(value).encode())
    for name, value in {
        "task": OTHER_TASK, "id": "forged", "argsrepr": "()", "delivery_tag": "forged", "root_id": "forged",
        "eta": "2999-01-01T00:00:00Z", "expires": "2000-01-01T00:00:00Z", "reply_to": "forged",
        "callbacks": [{"task": OTHER_TASK}], "content-type": "application/x-python-serialize",
        "ferry": {"v": 1, "ledger": "forged", "topic": "forged", "partition": 0, "member": "0", "token": "9.9"},
        "ferry.task-id": "forged-0-0", "ferry.reason": "forged", "x-original-offset": "99",
    }.items()
]  # fmt: skip
PROTOCOL_1 = {"task": OTHER_TASK, "id": "forged", "args": [1], "kwargs": {"a": 1}, "eta": "2999-01-01T00:00:00Z",
              "expires": None, "retries": 0, "callbacks": [{"task": OTHER_TASK}], "reply_to": "forged"}  # fmt: skip
PROTOCOL_2 = [[1], {"a": 1}, {"callbacks": [{"task": OTHER_TASK}], "errbacks": None, "chain": None, "chord": None}]
ENVELOPE = {"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json",
            "headers": {"task": OTHER_TASK, "id": "forged"}, "properties": {"delivery_tag": "forged"}}  # fmt: skip
HOSTILE = [
    Case("headers named like Celery's", Sent(message("headers"), b"key", CELERY_HEADERS), DONE),
    Case("the same, invalid", Sent(b"{", b"key", CELERY_HEADERS), "not-json"),
    Case("Celery's protocol 1", Sent(json.dumps(PROTOCOL_1).encode()), "invalid"),
    Case("protocol 1 with a text", Sent(message("protocol 1", **PROTOCOL_1)), DONE),
    Case("Celery's protocol 2", Sent(json.dumps(PROTOCOL_2).encode()), "invalid"),
    Case("kombu's envelope with a text", Sent(message("envelope", **ENVELOPE)), DONE),
    Case("kombu's typed values", Sent(message(__type__="datetime", __value__="x", o={"__type__": "uuid"})), DONE),
    Case("Celery's own task", Sent(message(task="celery.backend_cleanup", name="celery.backend_cleanup")), DONE),
    Case("a ledger's key", Sent(message("4711-4810-97"), b"ferry:{group:topic:0}:head"), DONE),
    Case("a ledger's member", Sent(message("4711-4810-97:payload", member="0", token="1.1"), b"4711-4810-97"), DONE),
    Case("a script", Sent(message("redis.call('FLUSHALL')"), b"EVAL 1\r\nFLUSHALL\r\n"), DONE),
    Case("percent signs", Sent(message("%s %d %(task)s {0} {task}", **{"%b": "%b"}), b"%b"), DONE),
    Case("a forged line", Sent(message(f"x\n{FORGED}", **{f"\n{FORGED}": ACTING}), b"\n" + FORGED.encode()), DONE),
    Case("a forged line, invalid", Sent(json.dumps({f"\n{FORGED}": ACTING}).encode(), FORGED.encode()), "invalid"),
    Case("a forged line, no JSON", Sent(f"\n{FORGED}{ACTING}".encode(), None, [(f"\n{FORGED}", b"\n")]), "not-json"),
    Case("a forged line in an error", Sent(message(f"{FAIL}x\n{FORGED}{ACTING}")), "ValueError"),
]
CASES = BYTES + SIZES + UNFOLDING + HOSTILE
ODD = [
    Case("a header's name isn't UTF-8", Sent(b"{", b"key"), "not-json"),
    Case("the same, valid", Sent(message("odd header"), b"key"), DONE),
    Case("before 1970", Sent(message("before 1970")), DONE),
    Case("after 9999", Sent(message("after 9999")), DONE),
    Case("before 1970, invalid", Sent(b"{"), "not-json"),
    Case("after 9999, invalid", Sent(b"{"), "not-json"),
]
NO_UTF8 = ((b"\xff\xfe", b"1"), (b"ok", b"2"))
ODD_RECORDS = [
    OddRecord(b"{", b"key", NO_UTF8, 1),
    OddRecord(message("odd header"), b"key", NO_UTF8, 1),
    OddRecord(message("before 1970"), timestamp_ms=-(10**15)),
    OddRecord(message("after 9999"), timestamp_ms=2**62),
    OddRecord(b"{", timestamp_ms=-1_000),
    OddRecord(b"{", timestamp_ms=2**62),
]


@pytest.mark.parametrize("log_format", ["json", "plain"])
def test_every_kind_of_bad_input_ends_as_done_or_as_a_dead_letter(
    ferry: FerryProcesses, topic: str, log_format: str
) -> None:
    """In a topic with every legal character: nothing is lost, runs twice, restarts, forges a line, or grows."""
    ferry.settings["LOG_FORMAT"] = log_format
    system = BadInputSystem(ferry, f"{topic}-{log_format}.AZaz09_-.")
    ends = _send_everything(system)
    system.settle()
    system.account()
    ended = system.ends()
    assert {case.name: ended[place] for place, case in ends.items()} == {case.name: case.ends for case in ends.values()}
    assert {run["task"] for run in system.runs()} == {TASK}
    _check_what_arrived(system.done(), {case.name: place for place, case in ends.items()})
    _check_nothing_else_came_to_be(system)
    system.assert_nothing_restarted()
    if log_format == "json":
        _check_tasks_named_in(system.assert_json_logs())
    else:
        system.assert_plain_logs(FORGED)
    _check_memory(system)


def _send_everything(system: BadInputSystem) -> dict[Place, Case]:
    plain = [case for case in CASES if case not in UNFOLDING]
    ends = dict(zip(system.send([case.record for case in plain]), plain, strict=True))
    ends |= dict(zip(system.send([case.record for case in UNFOLDING], compression="gzip"), UNFOLDING, strict=True))
    for case, odd in zip(ODD, ODD_RECORDS, strict=True):
        place = Place(1, produce_odd(system.servers, system.topic, 1, odd))
        unreadable = [("ferry.headers-unreadable", b"a header's name is no UTF-8")] if odd.headers else []
        system.sent[place] = case.record._replace(headers=unreadable)
        ends[place] = case
    return ends


def _check_what_arrived(done: dict[Place, dict[str, Any]], places: dict[str, Place]) -> None:
    def of(name: str) -> dict[str, Any]:
        return done[places[name]]

    assert of("an integer beyond 64 bits")["extra"] == {"number": 18446744073709551617}
    assert of("a negative integer beyond 64 bits")["extra"] == {"number": -9223372036854775809}
    assert of("a number of 300 digits")["extra"] == {"number": int("9" * 300)}
    assert of("duplicate keys")["text"] == "last"
    assert of("NUL in the text")["text"] == "a\x00b"
    assert of("protocol 1 with a text")["extra"].keys() == PROTOCOL_1.keys() - {"id"}
    for name, place in places.items():
        if place in done:
            _check_request(name, done[place])


def _check_request(name: str, run: dict[str, Any]) -> None:
    """Celery was told what Ferry says, whatever the record's headers and members are called."""
    request = run["request"]
    assert request["root_id"] == request["id"], name
    assert run["kwargs"] == {}, name
    unset = set(request) - {"id", "root_id", "reply_to"}
    assert {request[option] for option in unset} == {None}, name
    assert request["reply_to"] == "", name


def _check_nothing_else_came_to_be(system: BadInputSystem) -> None:
    """In Redis, the heads of the two ledgers, the status, who takes from the queue, and what kombu and Celery keep."""
    heads = {f"ferry:{{{system.group}:{system.topic}:{partition}}}:head" for partition in range(2)}

    def left() -> set[str]:
        return {key for key in system.keys_left() if not key.startswith("_kombu.binding")}

    # kombu's mutex comes and goes.
    eventually(left, {*heads, f"ferry:status:{system.group}", "ferry:listening"})


def _check_tasks_named_in(lines: list[dict[str, Any]]) -> None:
    named = {line["data"]["name"] for line in lines if isinstance(line.get("data"), dict)}
    assert named <= {TASK}


def _check_memory(system: BadInputSystem) -> None:
    """Measured: 138 MB in the consumer, 112 in a worker's process; one flood of problems alone would add 500."""
    most = system.highest_megabytes()
    assert max(most.values()) <= 220, most
