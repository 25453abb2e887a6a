"""What Ferry says of itself, as it is read."""

import json

from prometheus_client import CollectorRegistry, Counter, generate_latest

from tests.chaos.ferry_counts import (
    CountedLine,
    LedgerCount,
    Takeover,
    read_counted_lines,
    read_status,
    read_takeovers,
    shown_in,
)

TIME = "1970-01-01T00:00:02.500+00:00"


def test_the_two_sentences_are_told_apart() -> None:
    """Each is a counter's; others are none."""
    lines = [
        {"time": TIME, "task_id": "chaos-0-1", "message": "its retry is due: queued again"},
        {"time": TIME, "task_id": "chaos-0-2", "message": "its message had vanished from the queue: queued again"},
        {"time": TIME, "task_id": "chaos-0-3", "message": "not run: it is done, failed or cleared already"},
    ]

    assert list(read_counted_lines("log", lines)) == [
        CountedLine(2.5, "retried", "chaos-0-1", "log"),
        CountedLine(2.5, "redelivered", "chaos-0-2", "log"),
    ]


def test_a_divided_batch_counts_its_messages() -> None:
    """Those that are queued, in one line; one that failed as a whole queues none."""
    line = {"time": TIME, "task_id": "chaos-0-1..9"}
    vanished = "its message had vanished from the queue: 7 of its messages are queued one by one, 0 become dead letters"
    failed = "a batch has failed: 9 of its messages become dead letters: x"
    lines = [line | {"message": text} for text in (vanished, failed)]

    assert list(read_counted_lines("log", lines)) == [CountedLine(2.5, "redelivered", "chaos-0-1..9", "log", 7)]


def test_acquisitions_say_what_comes_again() -> None:
    """Other lines with an offset are none."""
    lines = [
        {"time": TIME, "message": "x", "partition": 3, "offset": 40, "rewound": 7, "reason": "operator"},
        {"time": TIME, "message": "x", "partition": 3, "offset": 40},
    ]

    assert list(read_takeovers("log", lines)) == [Takeover(2.5, 3, 40, 7, "log")]


def test_a_counter_is_summed_over_its_topics() -> None:
    """As prometheus_client prints it; a name that isn't there at all is not 0."""
    registry = CollectorRegistry()
    counter = Counter("ferry_retried", "Retried.", ["topic"], registry=registry)
    Counter("ferry_retried_late", "Another.", ["topic"], registry=registry).labels("chaos").inc(50)
    assert shown_in(generate_latest(registry).decode(), "retried") == 0
    counter.labels("chaos").inc(3)
    counter.labels("other").inc(2)

    text = generate_latest(registry).decode()
    assert shown_in(text, "retried") == 5
    assert shown_in(text, "redelivered") == -1
    assert shown_in("", "retried") == -1


def test_the_status_is_read_by_partition() -> None:
    """What else it has is left."""
    partitions = [
        {"partition": 2, "restored": 4, "rewound": 9, "lag": 1},
        {"partition": 0, "restored": 0, "rewound": 1},
    ]

    assert read_status(json.dumps({"partitions": partitions})) == {2: LedgerCount(4, 9), 0: LedgerCount(0, 1)}
