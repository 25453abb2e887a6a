"""`ferry dead-letters replay` while consumers run: each letter once, in the group in which it failed."""

import json
import threading
from collections import Counter
from typing import Any

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from tests.integration.worker_harness import QUICK_START
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.http_get import http_get
from tests.support.kafka_records import create_topic, end_offsets, produce, read_all
from tests.support.queue_reader import QueuedTask, QueueReader, task_of

LETTERS, MEANWHILE = 1_000, 500
NOBODY_THERE = "127.0.0.1:1"
#: A model that takes what the built-in one refuses: a text that is a number.
_ROUTES = """\
from typing import Any

from ferry_shared.routes import Route

routes = [Route(topic={topic!r}, message=dict[str, Any], task={task!r})]
"""
#: A task that writes which number it was given.
_TASK = """\
import os
from typing import Any

from ferry_worker.celery import app


@app.task(name="writeDone")
def write_done(message: dict[str, Any]) -> None:
    file = os.open(os.environ["DONE"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, b"%d\\n" % message["text"])
    finally:
        os.close(file)
"""


def numbers(first: int, count: int) -> list[bytes | None]:
    """Messages that the built-in model refuses."""
    return [json.dumps({"text": number}).encode() for number in range(first, first + count)]


def lenient(ferry: FerryProcesses, topic: str, task: str = "printSomething") -> dict[str, str]:
    """The settings of a consumer that takes them."""
    (ferry.directory / "lenient_routes.py").write_text(_ROUTES.format(topic=topic, task=task))
    return {"FERRY_ROUTES": "lenient_routes:routes"}


def replay(ferry: FerryProcesses, *words: str, code: int = 0, **settings: str) -> dict[str, Any]:
    """Replay, and return what programs get; the command must end with this exit code."""
    done = ferry.run("-m", "ferry_console", "dead-letters", "replay", "--json", *words, settings=settings)
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def listed(ferry: FerryProcesses) -> int:
    """How many dead letters there are."""
    done = ferry.run("-m", "ferry_console", "dead-letters", "list", "--json", "--limit", "10000")
    return len(json.loads(done.stdout)["dead_letters"])


def in_flight(ferry: FerryProcesses) -> int:
    """How many messages have not ended."""
    done = ferry.run("-m", "ferry_console", "in-flight", "list", "--json")
    return int(json.loads(done.stdout)["in_flight"])


def tasks_of(queue: QueueReader, group: str) -> list[QueuedTask]:
    """What is queued for a group."""
    rows = queue.client.lrange("celery", 0, -1)
    assert isinstance(rows, list)
    tasks = [task_of(row) for row in rows if isinstance(row, bytes)]
    return [task for task in tasks if task.header.group == group]


def texts_of(tasks: list[QueuedTask]) -> Counter[int]:
    """How often each number is among them."""
    return Counter(json.loads(task.payload)["text"] for task in tasks)


def dead_letters(ferry: FerryProcesses, servers: str, topic: str, count: int) -> None:
    """Let `count` messages become dead letters of the test's own group."""
    create_topic(servers, topic, 3)
    consumer = ferry.consumer("strict", CONSUMER_DEAD_LETTER_LIMIT_RUN="0")
    produce(servers, topic, numbers(0, count), key=b"key", headers=[("trace", b"\xff"), ("none", None)])
    eventually(lambda: sum(end_offsets(servers, f"{topic}.dlq").values()), count, timeout_seconds=60)
    # A letter whose entry is still open would be written once more by the next consumer.
    eventually(lambda: in_flight(ferry), 0)
    consumer.stop()


def started(consumer: FerryProcess) -> None:
    """Wait until a consumer has taken up its partitions."""
    consumer.wait_for_text("from offset")


def test_a_thousand_letters_are_replayed_once_each_while_consumers_run(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Under load, with another group on the topic: that one gets the load and none of the replays, and counts them."""
    servers, other, port = kafka.bootstrap_servers, f"{group}-other", free_port()
    dead_letters(ferry, servers, topic, LETTERS)
    assert tasks_of(queue, group) == []
    settings = lenient(ferry, topic)
    started(ferry.consumer("mended", **settings))
    started(ferry.consumer("other", **settings, CONSUMER_GROUP=other, CONSUMER_HTTP_PORT=str(port)))
    eventually(lambda: len(tasks_of(queue, other)), LETTERS)

    load = threading.Thread(target=produce, args=(servers, topic, numbers(LETTERS, MEANWHILE)))
    load.start()
    assert replay(ferry, "--all", "--dry-run")["replayed"] == LETTERS
    told = replay(ferry, "--topic", topic, "--reason", "invalid")
    load.join()
    assert {name: told[name] for name in ("replayed", "before", "unclear", "unfit", "refused", "cut_short")} == {
        "replayed": LETTERS, "before": 0, "unclear": 0, "unfit": 0, "refused": 0, "cut_short": None,
    }  # fmt: skip
    once = Counter(range(LETTERS + MEANWHILE))
    eventually(lambda: len(tasks_of(queue, group)), LETTERS + MEANWHILE, timeout_seconds=60)
    again = replay(ferry, "--all")
    assert (again["replayed"], again["before"]) == (0, LETTERS)
    counted = f'ferry_others_replays_total{{topic="{topic}"}} {LETTERS}.0'
    eventually(lambda: counted in http_get(port, "/metrics")[1], expected=True, timeout_seconds=30)
    assert texts_of(tasks_of(queue, group)) == once
    assert texts_of(tasks_of(queue, other)) == once
    assert listed(ferry) == LETTERS, "a letter stays where it is, and none has failed again"


def test_a_thousand_letters_run_once_each_while_consumer_and_worker_are_at_work(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str
) -> None:
    """Counted where the tasks write, not by Ferry: each of the letters and each of the messages that come meanwhile."""
    servers, done = kafka.bootstrap_servers, ferry.directory / "done.txt"
    dead_letters(ferry, servers, topic, LETTERS)
    (ferry.directory / "done_task.py").write_text(_TASK)
    settings = {**lenient(ferry, topic, "writeDone"), "FERRY_IMPORTS": "done_task", "DONE": str(done)}

    def runs() -> Counter[int]:
        return Counter(map(int, done.read_text().split())) if done.exists() else Counter()

    started(ferry.consumer("mended", **settings))
    ferry.worker("-c", "2", *QUICK_START, **settings).wait_for_text(r"ready\.", 60.0)
    load = threading.Thread(target=produce, args=(servers, topic, numbers(LETTERS, MEANWHILE)))
    load.start()
    told = replay(ferry, "--all")
    load.join()
    assert (told["replayed"], told["cut_short"], told["problems"]) == (LETTERS, None, [])
    once = Counter(range(LETTERS + MEANWHILE))
    eventually(lambda: sum(runs().values()) >= len(once), expected=True, timeout_seconds=90)
    eventually(lambda: in_flight(ferry), 0, timeout_seconds=30)
    assert runs() == once
    assert (replay(ferry, "--all")["before"], queue.peek_ids(), runs()) == (LETTERS, [], once)


def test_a_replayed_record_is_the_one_that_failed(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Same partition, key, headers and value, and the mark; forced, it goes out again, and a trace tells what it is."""
    servers = kafka.bootstrap_servers
    dead_letters(ferry, servers, topic, 1)
    (original,) = read_all(servers, topic)
    task_id = f"{topic}-{original.partition}-0@{group}"
    assert replay(ferry, task_id)["replayed"] == 1
    assert replay(ferry, task_id)["before"] == 1
    assert replay(ferry, task_id, "--force")["replayed"] == 1
    first, second, third = read_all(servers, topic)
    assert first == original
    for number, copy in enumerate((second, third), start=1):
        assert copy._replace(offset=0, headers=copy.headers[:-1]) == original
        assert (copy.offset, copy.headers[-1]) == (number, ("ferry.replay-of", task_id.encode()))
    traced = ferry.run("-m", "ferry_console", "trace", f"{topic}-{original.partition}-1@{group}-other", "--json")
    assert json.loads(traced.stdout)["remarks"][0].endswith("this group passes it over")
    missing = replay(ferry, f"{topic}-0-77@{group}", code=1)
    assert missing["problems"][0]["why"].startswith("has no dead letter")
    assert queue.peek_ids() == []


def test_what_fails_again_is_a_new_letter_and_goes_round_once_a_time(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """Nothing is mended: each replay makes one new letter of each, with one mark, however often it goes round."""
    servers = kafka.bootstrap_servers
    dead_letters(ferry, servers, topic, 3)
    started(ferry.consumer("still strict", CONSUMER_DEAD_LETTER_LIMIT_RUN="0"))
    for rounds in (1, 2):
        told = replay(ferry, "--all")
        assert (told["replayed"], told["before"]) == (3, 3 * (rounds - 1))
        eventually(lambda: listed(ferry), 3 + 3 * rounds)
    records = read_all(servers, topic)
    assert len(records) == 9
    assert max(sum(name == "ferry.replay-of" for name, _ in record.headers) for record in records) == 1


def test_a_server_that_is_away(kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str) -> None:
    """Exit code 3, nothing is sent, and nothing is marked that was not."""
    servers = kafka.bootstrap_servers
    dead_letters(ferry, servers, topic, 2)
    away = replay(ferry, "--all", code=3, KAFKA_BOOTSTRAP_SERVERS=NOBODY_THERE)
    assert (away["replayed"], away["cut_short"].partition(" at ")[0]) == (0, "Kafka")
    assert sum(end_offsets(servers, topic).values()) == 2
    assert replay(ferry, "--all")["replayed"] == 2
