"""Messages that say what their task does, workers that run them, and the account of what became of each."""

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ferry_shared.ledger.client import connect
from ferry_shared.ledger.keys import LedgerKeys, member_span
from ferry_shared.record import TaskId, TopicPartition
from tests.support.acting_routes import FATAL
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import committed_offsets, end_offsets, produce, read_all
from tests.support.ledger_entries import members_of, messages_in
from tests.support.queued_ids import queued_ids

_ROOT = Path(__file__).parents[2]
_TASKS, _ROUTES = "tests.support.acting_tasks", "tests.support.acting_routes:routes"
#: What a worker does at its start for others like it: a second each.
_QUICK_START = ("--without-mingle", "--without-gossip", "--without-heartbeat")


class Place(NamedTuple):
    """A record's place in the topic."""

    partition: int
    offset: int


class Letter(NamedTuple):
    """A dead letter: whose it is, and what it says."""

    place: Place
    value: bytes | None
    headers: Mapping[str, str]


def acts(count: int, act: str = "return", *, seconds: float = 0.0, first: int = 0) -> list[bytes]:
    """Messages whose task does `act` after `seconds`."""
    numbers = range(first, first + count)
    return [json.dumps({"number": number, "act": act, "seconds": seconds}).encode() for number in numbers]


def places(offsets: Iterable[int], partition: int = 0) -> set[Place]:
    """These offsets of one partition."""
    return {Place(partition, offset) for offset in offsets}


class Acting:
    """The test's topic, read by one group, whose messages become the acting task."""

    def __init__(self, ferry: FerryProcesses, group: str | None = None) -> None:
        """Tell consumer and worker of the task. `group` defaults to the test's; another shares topic and events."""
        self._ferry = ferry
        self.topic = ferry.settings["FERRY_TOPIC"]
        self.group = group or ferry.settings["CONSUMER_GROUP"]
        self.servers = ferry.settings["KAFKA_BOOTSTRAP_SERVERS"]
        self._events = ferry.directory / "events.txt"
        ferry.settings |= {
            "ACTING_EVENTS": str(self._events),
            "ACTING_TOPIC": self.topic,
            "FERRY_IMPORTS": _TASKS,
            "FERRY_ROUTES": _ROUTES,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
        }

    def consumer(self, name: str = "consumer", settings: Mapping[str, str] | None = None) -> FerryProcess:
        """Start a consumer of this group; it may still have nothing assigned."""
        return self._ferry.consumer(name, CONSUMER_GROUP=self.group, **(settings or {}))

    def worker(
        self, *arguments: str, name: str = "worker", processes: int = 2, settings: Mapping[str, str] | None = None
    ) -> FerryProcess:
        """Start a worker and wait until it takes messages."""
        options = (f"--concurrency={processes}", *_QUICK_START, *arguments)
        worker = self._ferry.worker(*options, name=name, **(settings or {}))
        worker.wait_for_text(r"ready\.", 60.0)
        return worker

    def produce(self, values: list[bytes], partition: int = -1, *, idempotent: bool = False) -> None:
        """Write messages."""
        produce(self.servers, self.topic, values, partition=partition, idempotent=idempotent)

    def release(self) -> None:
        """Let the waiting tasks end."""
        self._events.with_name("release").touch()

    # What the tasks and the dead-letter topic tell

    def started(self) -> Counter[Place]:
        """How often the task of each record was started."""
        return Counter(place for place, _ in self._told("start"))

    def done(self) -> Counter[Place]:
        """How often the task of each record came to its end."""
        return Counter(place for place, _ in self._told("done"))

    def process_of(self, place: Place) -> int:
        """The process that started this record's task last."""
        found = [pid for started, pid in self._told("start") if started == place]
        assert found, f"{place} was never started"
        return found[-1]

    def _told(self, kind: str) -> list[tuple[Place, int]]:
        # Half a line is still being written.
        text = self._events.read_text().rpartition("\n")[0] if self._events.exists() else ""
        words = [line.split(" ") for line in text.splitlines()]
        tasks = [(TaskId.parse(task_id), int(pid)) for told, task_id, pid in words if told == kind]
        mine = [(task, pid) for task, pid in tasks if (task.topic, task.group) == (self.topic, self.group)]
        return [(Place(task.partition, task.first), pid) for task, pid in mine]

    def dead_letters(self) -> list[Letter]:
        """The dead letters of this group."""
        found = []
        for letter in read_all(self.servers, f"{self.topic}.dlq"):
            headers = {name: value.decode() for name, value in letter.headers if isinstance(value, bytes)}
            if headers["__dlq.errors.group"] == self.group:
                place = Place(int(headers["x-original-partition"]), int(headers["x-original-offset"]))
                found.append(Letter(place, letter.value, headers))
        return found

    def in_flight(self) -> int:
        """How many messages the ledgers hold now."""
        pattern = LedgerKeys.of("", self.group, TopicPartition(self.topic, 0)).inflight.replace(":0}", ":*}")
        return sum(self._redis(lambda client: [messages_in(client, key) for key in client.keys(pattern)]))

    def entry_of(self, place: Place) -> set[Place]:
        """What one entry of a ledger holds now, this record among it: alone, or with those of its batch."""
        key = LedgerKeys.of("", self.group, TopicPartition(self.topic, place.partition)).inflight
        spans = [member_span(member) for member in self._redis(lambda client: members_of(client, key))]
        [(first, last)] = [span for span in spans if span[0] <= place.offset <= span[1]]
        return places(range(first, last + 1), place.partition)

    def _keys(self) -> list[LedgerKeys]:
        numbers = range(len(end_offsets(self.servers, self.topic)))
        return [LedgerKeys.of("", self.group, TopicPartition(self.topic, number)) for number in numbers]

    def queued(self) -> int:
        """How many messages wait in the queue, of whatever group."""
        return self.queued_ids().total()

    def queued_ids(self) -> Counter[str]:
        """How many copies of each task wait in the queue."""
        rows: list[bytes] = self._redis(lambda client: client.lrange("celery", 0, -1))
        return Counter(queued_ids(b"\n".join(rows)))

    def _redis(self, ask: Callable[[Any], Any]) -> Any:
        client = connect(self._ferry.settings["CELERY_BROKER_URL"])
        try:
            return ask(client)
        finally:
            client.close()

    # Verdict

    def settle(self, timeout_seconds: float = 60.0) -> None:
        """Wait until everything is committed, and only the ledgers' heads are left in Redis."""
        ends = {number: end for number, end in end_offsets(self.servers, self.topic).items() if end}
        eventually(self._committed, ends, timeout_seconds=timeout_seconds)
        rest = [name for keys in self._keys() for name in (keys.inflight, keys.state, keys.times, keys.attention)]
        eventually(lambda: self._redis(lambda client: client.exists(*rest, "celery", "unacked")), 0)

    def _committed(self) -> dict[int, int]:
        committed = committed_offsets(self.servers, self.group, self.topic)
        return {number: offset for number, offset in committed.items() if offset}

    def assert_accounted(
        self,
        expected: Collection[Place] | None = None,
        *,
        repeated: Collection[Place] = (),
        dead: Collection[Place] = (),
    ) -> None:
        """Every record is done, or dead if its message asks for that, and no task ran to its end twice.

        `expected` defaults to what the topic holds now. `repeated` may have been done twice. `dead` are dead letters
        though their messages don't ask for it: for a fault that leaves no other end.
        """
        held = {Place(*record[:2]): record.value for record in read_all(self.servers, self.topic)}
        wanted = set(held if expected is None else expected)
        assert wanted, "a verdict on nothing"
        done, letters = self.done(), self.dead_letters()
        died = Counter(letter.place for letter in letters)
        assert wanted - done.keys() - died.keys() == set(), "lost"
        assert done.keys() & died.keys() == set(), "both done and dead"
        assert (done.keys() | died.keys()) - wanted == set(), "nobody sent these"
        # Of a record that Kafka has deleted only the letter can tell what it asked for.
        asked = {letter.place for letter in letters if _asks_to_fail(held.get(letter.place, letter.value))}
        unasked = died.keys() - asked
        assert unasked == set(dead), f"dead, though nothing was wrong with them: {sorted(unasked)}"
        assert {place for place, times in done.items() if times > 1} <= set(repeated), "done twice"
        assert {place for place, times in died.items() if times > 1} == set(), "two dead letters"


def _asks_to_fail(value: bytes | None) -> bool:
    return value is not None and json.loads(value)["act"] in FATAL
