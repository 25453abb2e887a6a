"""Consumer and workers on a Valkey of their own, and the verdict on what a fault did to their messages."""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Self

from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition
from tests.support import fault_routes
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic, end_offsets, produce, read_all
from tests.support.ledger_entries import messages_in
from tests.support.queue_monitor import QueueMonitor
from tests.support.queued_ids import last_ids
from tests.support.repeats import AtRisk, Counts, Origin, is_explained
from tests.support.short_limits import SHORT_LIMITS
from tests.support.tcp_proxy import TcpProxy
from tests.support.valkey_server import ValkeyServer

ROOT = Path(__file__).parents[2]
SOON_REDELIVERED = {"CONSUMER_REDELIVER_AFTER_SECONDS": "5"}
_QUEUED_AGAIN = re.compile(
    r"\[(\S+)\] (?:its message had vanished from the queue: (?:queued again|(\d+) of its messages)"
    r"|the batch ends: (\d+) of its messages)"
)


class FaultSystem:
    """One topic, its consumers and workers, and the server that holds ledger and queue."""

    def __init__(self, ferry: FerryProcesses, topic: str, server: ValkeyServer, partitions: int = 2) -> None:
        self.server = server
        self.topic = topic
        self.group = ferry.settings["CONSUMER_GROUP"]
        self.monitor = QueueMonitor()
        self._ferry = ferry
        self._servers = ferry.settings["KAFKA_BOOTSTRAP_SERVERS"]
        self._partitions = partitions
        # Shared with the views of other groups.
        self._texts: list[str] = []
        self._processes: list[FerryProcess] = []
        self._record, self._hold = ferry.directory / f"{topic}.record", ferry.directory / f"{topic}.hold"
        ferry.settings |= {
            "CELERY_BROKER_URL": server.url,
            "FERRY_ROUTES": "tests.support.fault_routes:routes",
            "FERRY_IMPORTS": "tests.support.fault_tasks",
            fault_routes.TOPIC: topic,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "CONSUMER_MAX_BACKOFF_SECONDS": "1",
            fault_routes.RECORD: str(self._record),
            fault_routes.HOLD: str(self._hold),
            fault_routes.SECONDS: "0.02",
        }
        create_topic(self._servers, topic, partitions)

    def url_through(self, proxy: TcpProxy) -> str:
        """The server's address for a process that is to reach it through `proxy`."""
        return f"redis://127.0.0.1:{proxy.port}/0"

    def set_key_prefix(self, prefix: str) -> None:
        """All processes that start from now on put `prefix` before their keys."""
        self._ferry.settings["FERRY_KEY_PREFIX"] = prefix

    def as_group(self, group: str) -> Self:
        """The same topic, servers and tasks through the eyes of another consumer group."""
        other = copy(self)
        other.group = group
        return other

    # What runs

    def consumer(self, **settings: str) -> FerryProcess:
        """Start a consumer of this group, and wait until it has every partition."""
        consumer = self._ferry.consumer(f"consumer of {self.group}", CONSUMER_GROUP=self.group, **settings)
        self._processes.append(consumer)
        consumer.wait_for(lambda output: output.count(": from offset") >= self._partitions)
        return consumer

    def worker(self, *arguments: str, **settings: str) -> FerryProcess:
        """Start a worker with two processes and short limits, and wait until it takes messages."""
        quick = ("--concurrency=2", "--without-mingle", "--without-gossip", "--without-heartbeat")
        worker = self._ferry.worker(*quick, *arguments, **(SHORT_LIMITS | settings))
        self._processes.append(worker)
        worker.wait_for_text(r"ready\.", 60.0)
        return worker

    def send(self, count: int, kind: str = "text") -> None:
        """Write `count` messages, each with a text of its own; `kind` says what their tasks do."""
        texts = [f"{kind} {number}" for number in range(self.sent, self.sent + count)]
        self._texts += texts
        values: list[bytes | None] = [json.dumps({"text": text}).encode() for text in texts]
        for partition in range(self._partitions):
            produce(self._servers, self.topic, values[partition :: self._partitions], partition=partition)

    def hold_tasks(self) -> None:
        """Tasks that start from now on don't end until `let_tasks_end`, or their hard limit."""
        self._hold.touch()

    def let_tasks_end(self) -> None:
        """Let them."""
        self._hold.unlink()

    def restart_redis(self) -> None:
        """Start the server that was killed, watched; it is another run, and it answers."""
        self.server.start(before_listening=self.monitor.attach)
        self.server.wait_ready()

    # What is there

    @property
    def sent(self) -> int:
        """How many messages were written."""
        return len(self._texts)

    @property
    def texts(self) -> list[str]:
        """The text of each message that was written."""
        return list(self._texts)

    @property
    def in_flight(self) -> int:
        """Messages in the ledger now, all partitions together."""
        with self.server.client() as client:
            return sum(messages_in(client, keys.inflight) for keys in self.ledger_keys())

    def committed(self) -> dict[int, int]:
        """The group's committed offset of each partition, as Kafka has it."""
        found = committed_offsets(self._servers, self.group, self.topic)
        return {partition: found.get(partition, 0) for partition in range(self._partitions)}

    def at_risk(self, committed: Mapping[int, int] | None = None) -> AtRisk:
        """What a loss of Redis' data at this moment may repeat; `committed` defaults to what is committed now."""
        return AtRisk(self.committed() if committed is None else committed, self.sent)

    def ledger_keys(self) -> list[LedgerKeys]:
        """The keys of each partition's ledger."""
        prefix = self._ferry.settings.get("FERRY_KEY_PREFIX", "")
        return [
            LedgerKeys.of(prefix, self.group, TopicPartition(self.topic, partition))
            for partition in range(self._partitions)
        ]

    def told(self, event: str) -> Counter[str]:
        """How often this group's tasks told `event` (started, retrying, failing, done), by text."""
        # Half a line is still being written.
        text = self._record.read_text().rpartition("\n")[0] if self._record.exists() else ""
        words = [line.split(" ", 2) for line in text.splitlines()]
        return Counter(text for word, task_id, text in words if word == event and task_id.endswith(f"@{self.group}"))

    def wait_until_done(self, count: int, timeout_seconds: float = 60.0) -> None:
        """Wait until so many tasks have ended well."""
        eventually(lambda: self.told("done").total() >= count, expected=True, timeout_seconds=timeout_seconds)

    def wait_until_in_flight(self, count: int, timeout_seconds: float = 30.0) -> None:
        """Wait until at least so many are in flight."""
        eventually(lambda: self.in_flight >= count, expected=True, timeout_seconds=timeout_seconds)

    def wait_until_idle(self, timeout_seconds: float = 60.0) -> None:
        """Wait until everything that was written is committed, and nothing is in flight, queued or reserved."""
        eventually(lambda: self.committed() == end_offsets(self._servers, self.topic), True, timeout_seconds)
        eventually(lambda: self._left_over() == [], True, timeout_seconds)

    # The verdict

    def wait_for_the_end(self, timeout_seconds: float = 60.0) -> None:
        """Wait until all that was sent is done or dead and committed, and assert that nothing is lost."""
        self.wait_until_idle(timeout_seconds)
        self.assert_nothing_lost()

    def assert_nothing_lost(self) -> None:
        """Per partition, what has an offset is done, or dead if it is to fail; and all that was sent has an offset."""
        origins = self._origins()
        assert sorted(origins) == sorted(self._texts)
        ended, dead = self.told("done"), self.dead_letters().keys()
        done = {origin for text, origin in origins.items() if text in ended}
        lost = sorted(set(origins.values()) - done - dead)
        assert lost == [], f"neither done nor dead: {lost}"
        to_fail = {origin for text, origin in origins.items() if text.startswith("fail")}
        assert dead <= to_fail, f"dead, though nothing was wrong with them: {sorted(dead - to_fail)}"

    def assert_each_ran_once(self) -> None:
        """No task was started twice, and none of those that ended well did so twice."""
        again = repeated(self.told("started")) | repeated(self.told("done"))
        assert again == {}, f"ran again: {again}"

    def assert_only_repeated(self, *losses: AtRisk) -> None:
        """Each loss has repeated each message that was at risk at most once, and no other one.

        Held to this are starts, ends, dead letters and what Ferry put into the queue. A message that had vanished, or
        whose batch has ended, is queued once more for each line in which Ferry says so, and does not run more often.
        """
        seen = self._counts()
        unexplained = []
        for text, origin in self._origins().items():
            kind, number = text.split()
            times = sum(loss.includes(int(number), origin) for loss in losses)
            if not is_explained(seen[text], kind, times):
                unexplained.append(f"{text} at {origin}: {seen[text]}, at risk {times} times")
        assert unexplained == [], "repeated without a reason:\n" + "\n".join(unexplained)

    def _counts(self) -> dict[str, Counts]:
        started, done, dead = self.told("started"), self.told("done"), self.dead_letters()
        queued, again = self.queued(), self._queued_again()
        return {
            text: Counts(started[text], queued[task_id] - again[task_id], done[text], dead[origin])
            for text, origin in self._origins().items()
            for task_id in [self._task_id(origin)]
        }

    def assert_each_queued_once(self) -> None:
        """Ferry put every message into the queue exactly once, by MONITOR."""
        assert self.queued() == Counter(self.task_ids())

    def assert_queued_again_only_if_vanished(self) -> None:
        """Every message was queued once, and once more for each line in which Ferry says why.

        kombu takes a message first and notes it afterwards: what is under way to a worker when Redis or the connection
        dies has vanished. Start the consumer with `SOON_REDELIVERED`, or it looks for such a message after a minute.
        """
        assert self.queued() == Counter(self.task_ids()) + self._queued_again()

    def _queued_again(self) -> Counter[str]:
        """Messages that had vanished, and those of a batch that go on by themselves: of a batch the last ones."""
        lines = [found for process in self._processes for found in _QUEUED_AGAIN.findall(process.output())]
        return Counter(
            each for task_id, vanished, ended in lines for each in last_ids(task_id, int(vanished or ended or 1))
        )

    def queued(self) -> Counter[str]:
        """How often Ferry put this group's tasks into the queue, by task id."""
        return Counter({task: count for task, count in self.monitor.queued.items() if task.endswith(f"@{self.group}")})

    def task_ids(self) -> list[str]:
        """The task ids of all that was sent."""
        return [self._task_id(origin) for origin in self._origins().values()]

    def _task_id(self, origin: Origin) -> str:
        return f"{self.topic}-{origin.partition}-{origin.offset}@{self.group}"

    def _origins(self) -> dict[str, Origin]:
        records = read_all(self._servers, self.topic)
        return {json.loads(record.value or b"")["text"]: Origin(record.partition, record.offset) for record in records}

    def dead_letters(self) -> Counter[Origin]:
        """How many dead letters there are of each message."""
        dead: Counter[Origin] = Counter()
        for letter in read_all(self._servers, f"{self.topic}.dlq"):
            headers = {name: value for name, value in letter.headers if isinstance(value, bytes)}
            dead[Origin(int(headers["x-original-partition"]), int(headers["x-original-offset"]))] += 1
        return dead

    def _left_over(self) -> list[str]:
        rest = [name for keys in self.ledger_keys() for name in (keys.inflight, keys.state, keys.times, keys.attention)]
        prefix = self._ferry.settings.get("FERRY_KEY_PREFIX", "")
        with self.server.client() as client:
            return [name for name in (*rest, f"{prefix}celery", f"{prefix}unacked") if client.exists(name)]


def repeated(counts: Counter[str]) -> dict[str, int]:
    """What was counted more than once."""
    return {text: count for text, count in counts.items() if count > 1}


def kill_redis(system: FaultSystem) -> None:
    """kill -9 of the server, with messages in flight."""
    assert system.in_flight > 0, "the kill was to find messages in flight"
    before = system.server.process.pid
    system.server.kill()
    assert not Path(f"/proc/{before}").exists()
