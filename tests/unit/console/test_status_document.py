"""`ferry status --json`: one object, the same numbers as the text, nothing that acts on a terminal."""

import json

from hypothesis import given

from ferry_console.output import json_line
from ferry_console.status.document import document
from ferry_console.status.group_status import GroupStatus
from ferry_console.status.warnings import warnings
from ferry_shared.ledger.pauses import Pause
from ferry_shared.record import TopicPartition
from tests.unit.console.status_views import NOW_MS, OLD_AFTER, ledger, status, statuses, word


def test_the_whole_object() -> None:
    """Every field; moments in UTC, ages in seconds."""
    found = status(ledger(untracked={"plain": f"3:{NOW_MS}"}), pauses={"orders": Pause("ann", NOW_MS, "closed")})
    assert document(found, OLD_AFTER) == {
        "group": "ferry",
        "at": "2023-11-14T22:13:20.000Z",
        "served": True,
        "consumers": 1,
        "totals": {
            "partitions": 1, "silent": 0, "paused": 1, "backlog": 40, "lag": 40, "in_flight": 30,
            "oldest_seconds": 2.5, "dead_letters": 4, "restored": 0, "rewound": 0,
        },
        "partitions": [{
            "topic": "orders", "partition": 0, "ledger": "sound", "log_end": 100, "committed": 60, "position": 90,
            "in_flight": 30, "oldest_task_id": "orders-0-60", "oldest_seconds": 2.5, "backlog": 40, "lag": 40,
            "dead_letters": 4, "restored": 0, "rewound": 0, "untracked": {"plain": 3}, "unknown": {},
            "paused": {"reason": "operator", "who": "ann", "when": "2023-11-14T22:13:20.000Z", "why": "closed"},
            "consumer": "host:1", "heard_seconds_ago": 1.0, "silent": False,
        }],
        "queues": [],
        "warnings": warnings(found, OLD_AFTER),
    }  # fmt: skip


def test_queues_and_who_takes_from_them() -> None:
    """As far as consumers have named them, and workers can be told of."""
    words = [word(queue="orders"), word(place=TopicPartition("orders", 1), queue="")]
    for listening, workers in ((None, None), ({}, 0), ({"orders": 2, "others": 1}, 2)):
        told = document(status(ledger(), ledger(), words=words, listening=listening), OLD_AFTER)["queues"]
        assert told == [{"queue": "orders", "workers": workers, "topics": ["orders"], "in_flight": 30}]


def test_what_is_not_known_is_null() -> None:
    """Programs need not guess."""
    (partition,) = document(status(ledger(lowest=None, age_seconds=None), words=[]), OLD_AFTER)["partitions"]
    unknown = [name for name, value in partition.items() if value is None]
    assert unknown == ["log_end", "oldest_task_id", "oldest_seconds", "paused", "consumer", "heard_seconds_ago"]
    (partition,) = document(status(ledger(), words=[word(paused="limit")]), OLD_AFTER)["partitions"]
    assert partition["paused"] == {"reason": "limit", "who": None, "when": None, "why": None}


@given(found=statuses())
def test_every_status_is_one_line_of_printable_ascii(found: GroupStatus) -> None:
    """And totals are the sums of their partitions."""
    line = json_line(document(found, OLD_AFTER))
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    for name in ("backlog", "lag", "in_flight", "dead_letters"):
        assert read["totals"][name] == sum(partition[name] for partition in read["partitions"])


def test_controls_are_escaped_that_json_allows() -> None:
    """DEL and C1 controls as well."""
    assert json_line({"a": "\x7f\x1b\x9b"}) == '{"a": "\\u007f\\u001b\\u009b"}'
