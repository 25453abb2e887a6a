"""The files of a chaos run, read into evidence."""

import json

import pytest

from tests.chaos.evidence import Acquisition, Execution, LetterLine, RedeliveryLine, place_of
from tests.chaos.evidence_files import (
    read_acquisitions,
    read_attachments,
    read_executions,
    read_letter_lines,
    read_losses,
    read_pushes,
    read_redeliveries,
    repeated_tasks,
)
from tests.chaos.monitor_lines import Cause, Push


def test_an_execution_has_a_start_and_an_end() -> None:
    """Two processes at once, in any order."""
    lines = [
        "started\t1.0\tt-0-1\ttag1\t7\t10\t9\n",
        "started\t1.1\tt-0-2\ttag2\t8\t11\t9\n",
        "raised\t1.2\tt-0-2\ttag2\t8\t11\t9\n",
        "done\t1.3\tt-0-1\ttag1\t7\t10\t9\n",
    ]

    assert read_executions(lines) == [
        Execution("t-0-1", "tag1", 7, 10, 9, 1.0, 1.3, "done"),
        Execution("t-0-2", "tag2", 8, 11, 9, 1.1, 1.2, "raised"),
    ]


def test_an_execution_without_an_end_stays_open() -> None:
    """Also when the same copy runs again, in the same process or another."""
    lines = [
        "started\t1\tt-0-1\ttag\t7\t10\t9\n",
        "started\t2\tt-0-1\ttag\t7\t11\t9\n",
        "started\t3\tt-0-1\ttag\t7\t11\t9\n",
        "done\t4\tt-0-1\ttag\t7\t11\t9\n",
    ]

    assert [(run.pid, run.started, run.ended) for run in read_executions(lines)] == [
        (10, 1.0, None),
        (11, 2.0, None),
        (11, 3.0, 4.0),
    ]


def test_an_end_without_a_start_is_no_execution() -> None:
    """Nothing is made up: the file is broken."""
    with pytest.raises(ValueError, match="had not started"):
        read_executions(["done\t1\tt-0-1\ttag\t7\t10\t9\n"])


def test_what_a_restart_shows_is_a_push_unless_it_was_seen() -> None:
    """With the time at which the server went, and the cause that the tag tells."""
    lines = [
        "attached\t1.0\tfirst\n",
        "pushed\t2.0\tdispatch\tt-0-1\tl/t-0-1/1.1.1\n",
        "detached\t3.0\n",
        "attached\t4.0\tsecond\n",
        "found\t4.0\tt-0-1\tl/t-0-1/1.1.1\tqueue\n",
        "found\t4.0\tt-0-2\tl/t-0-2/1.1.2\tqueue\n",
        "found\t4.0\tt-0-2\tl/t-0-2/1.1.2\tqueue\n",
        "pushed\t5.0\ttransport\tt-0-2\tl/t-0-2/1.1.2\n",
    ]

    assert read_pushes(lines) == [
        Push(2.0, Cause.DISPATCH, "t-0-1", "l/t-0-1/1.1.1"),
        Push(3.0, Cause.REDELIVERY, "t-0-2", "l/t-0-2/1.1.2"),
        Push(5.0, Cause.TRANSPORT, "t-0-2", "l/t-0-2/1.1.2"),
    ]
    assert read_attachments(lines) == ["first", "second"]


def test_a_batch_is_a_push_of_each_of_its_messages() -> None:
    """Also one that only a restart shows; what left it unseen may have left it by any of three ways."""
    batch, other = "l/t-0-1-2-2/1.1.1", "l/t-0-3-4-2/1.1.1"
    lines = [
        f"pushed\t2.0\tdispatch\tt-0-1,t-0-2\t{batch}\n",
        "detached\t3.0\n",
        f"found\t4.0\tt-0-1,t-0-2\t{batch}\tqueue\n",
        f"found\t4.0\tt-0-3,t-0-4\t{other}\tunacked\n",
        "found\t4.0\tt-0-2\tl/t-0-2/1.2.1\tqueue\n",
        "found\t4.0\tt-0-9\tl/t-0-9/1.2.1\tqueue\n",
    ]

    assert read_pushes(lines) == [
        Push(2.0, Cause.DISPATCH, "t-0-1", batch),
        Push(2.0, Cause.DISPATCH, "t-0-2", batch),
        Push(3.0, Cause.DISPATCH, "t-0-3", other),
        Push(3.0, Cause.DISPATCH, "t-0-4", other),
        Push(3.0, Cause.LEFT_BATCH, "t-0-2", "l/t-0-2/1.2.1"),
        Push(3.0, Cause.RETRY, "t-0-9", "l/t-0-9/1.2.1"),
    ]


def test_messages_of_a_batch_run_one_after_the_other() -> None:
    """Under one tag and in one process; one that has no end says nothing of the next."""
    lines = [
        "started\t1.0\tt-0-1\tbatch\t7\t10\t9\n",
        "started\t2.0\tt-0-2\tbatch\t8\t10\t9\n",
        "done\t2.5\tt-0-2\tbatch\t8\t10\t9\n",
    ]

    assert read_executions(lines) == [
        Execution("t-0-1", "batch", 7, 10, 9, 1.0),
        Execution("t-0-2", "batch", 8, 10, 9, 2.0, 2.5, "done"),
    ]


def test_losses_are_what_a_start_and_a_flush_are() -> None:
    """The server's own moments."""
    lines = ["attached\t1.0\tfirst\n", "taken\t3.0\ta\n", "emptied\t4.5\n", "detached\t5.0\n", "attached\t6.0\tb\n"]

    assert read_losses(lines) == [1.0, 4.5, 6.0]


def test_ids_that_repeat_are_those_whose_copies_are_followed() -> None:
    """Queued twice, or executed though nobody saw it queued."""
    pushes = [Push(1.0, Cause.DISPATCH, task_id, tag) for task_id, tag in (("a", "a1"), ("b", "b1"), ("b", "b2"))]
    executions = [Execution(task_id, tag, 0, 1, 1, 2.0) for task_id, tag in (("a", "a1"), ("c", "c1"))]

    assert repeated_tasks(pushes, executions) == {"b", "c"}


def test_the_batches_of_ids_that_repeat_are_followed_too() -> None:
    """As their tags name them: those that held such an id, and those that nobody saw queued."""
    held, other, unseen = (f"l/t-0-{member}/1.1.1" for member in ("1-2-2", "3-4-2", "5-6-2"))
    pushes = [Push(1.0, Cause.DISPATCH, f"t-0-{offset}", tag) for offset, tag in ((1, held), (2, held), (3, other))]
    pushes.append(Push(2.0, Cause.SPLIT, "t-0-2", "l/t-0-2/1.2.1"))
    executions = [Execution("t-0-5", unseen, 0, 1, 1, 2.0)]

    assert repeated_tasks(pushes, executions) == {"t-0-2", "t-0-1-2-2", "t-0-5", "t-0-5-6-2"}


def test_a_consumers_log_tells_acquisitions_and_redeliveries() -> None:
    """Other lines, half lines and what Python itself prints are passed over."""
    common = {"time": "1970-01-01T00:00:10.500+00:00", "level": "INFO", "task_id": "-"}
    acquired = {"message": "t-3: from offset 7", "partition": 3, "offset": 7, "reason": "operator"}
    again = {"message": "its message had vanished from the queue: queued again", "task_id": "t-0-1"}
    letter = {"message": "dead letter: invalid: no JSON", "task_id": "t-0-2"}
    lines = [json.dumps(common | fields) for fields in (acquired, again, letter, {"message": "dispatched 5"})]
    lines += [lines[0][:40], "Traceback (most recent call last):"]

    assert read_acquisitions(lines) == [Acquisition(10.5, 3, 7, "operator")]
    assert read_redeliveries(lines) == [RedeliveryLine(10.5, "t-0-1")]
    assert read_letter_lines(lines, 77) == [LetterLine(10.5, "t-0-2", 77)]


def test_a_divided_batch_is_a_redelivery_of_each_of_its_messages() -> None:
    """One line tells of all of them; one that failed as a whole queues nothing."""
    common = {"time": "1970-01-01T00:00:10.500+00:00", "level": "WARNING", "task_id": "t-0-3..5"}
    divided = "its message had vanished from the queue: 2 of its messages are queued one by one, 0 become dead letters"
    lines = [json.dumps(common | {"message": text}) for text in (divided, "a batch has failed: 3 of its messages ...")]

    assert read_redeliveries(lines) == [RedeliveryLine(10.5, f"t-0-{offset}") for offset in (3, 4, 5)]


def test_a_task_id_tells_its_place() -> None:
    """The topic may hold hyphens."""
    assert place_of("a-b-12-345") == (12, 345)
