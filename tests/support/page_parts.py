"""What the page shows, made up: a group at work, a message on its way, dead letters. No server is asked."""

import math
import threading
from dataclasses import replace
from typing import Any

from ferry_console.dead_letters.document import list_document, show_document
from ferry_console.dead_letters.letters import letter_of
from ferry_console.dead_letters.reading import LetterList
from ferry_console.dead_letters.replay_marks import Mark
from ferry_console.dead_letters.replay_report import Reach, report
from ferry_console.dead_letters.replaying import Result, Tally
from ferry_console.in_flight.flights import InFlight, flight_of
from ferry_console.page.letter_requests import LetterPlace, LetterQuery, ReplayRequest
from ferry_console.status.group_status import GroupStatus, PartitionView, PauseView
from ferry_console.trace.findings import DeadLetters, Findings, KafkaView
from ferry_shared.ledger.consumer_ledger import Condition, Head
from ferry_shared.ledger.entry_page import Entry
from ferry_shared.ledger.entry_view import EntryState, EntryView, QueueSearch
from ferry_shared.record import Record, TaskId, TopicPartition

BEGAN_MS = 1_795_000_000_000
SECOND_MS = 1_000
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>\u202e"
TASKS = {"orders": "handleOrder", "invoices": "sendInvoice"}
_WAITING = EntryState("1.1", 1, 0, 1, BEGAN_MS, None, 0, None, None, None)


class MadeUpGroup:
    """A group that works off a backlog, a second a look; `away` is raised instead."""

    def __init__(self, partitions: int = 4, backlog: int = 40_000) -> None:
        self.looks = 0
        self.away: Exception | None = None
        self._partitions = partitions
        self._backlog = backlog

    @property
    def at_ms(self) -> int:
        """Now."""
        return BEGAN_MS + self.looks * SECOND_MS

    def status(self) -> GroupStatus:
        """How far it is."""
        if self.away is not None:
            raise self.away
        self.looks += 1
        return GroupStatus("ferry", self.at_ms, tuple(self._view(number) for number in range(self._partitions)))

    def _view(self, number: int) -> PartitionView:
        seconds = self.looks
        done = int(seconds * 75 + 400 * math.sin(seconds / 40 + number))
        flying = 120 + number * 7 + seconds % 13
        place = TopicPartition("orders" if number < self._partitions - 1 else "invoices", number % 3)
        paused = (
            PauseView("operator", "ann@desk", BEGAN_MS, "the shop is being moved")
            if place.topic == "invoices"
            else None
        )
        position = 10_000 + done + flying
        left = max(0, self._backlog // self._partitions - seconds * 15)
        return PartitionView(
            place, Condition.SOUND, position + left, position - flying - 5, position, flying,
            f"{place.topic}-{place.partition}-{position - flying}", 1.5 + number / 10, 3 * (number + 1), 0, 0,
            paused, "shop-1:4711", 0.8, silent=False, untracked=(),
        )  # fmt: skip

    def oldest(self) -> InFlight:
        """Three messages: one runs, one is to be retried, one waits."""
        now = self.at_ms
        running = replace(_WAITING, owner="w", claims=1, claimed_ms=now - 41_000, lease_ms=now + 280_000)
        retrying = replace(_WAITING, token="2.7", claims=1, due_ms=now + 9_000)
        found = [
            flight_of("ferry", TopicPartition("orders", number), Entry(str(10_000 + number), state, now - age), now)
            for number, state, age in ((0, running, 42_000), (1, retrying, 21_500), (2, _WAITING, 3_200))
        ]
        return InFlight("ferry", now, 4, 4_321, tuple(found), more=True)

    def tasks(self) -> dict[str, str]:
        """The routes' tasks."""
        return TASKS


class MadeUpFinder:
    """A message that waits in Kafka until `move` is called, then is queued, runs, and is done; or dies."""

    def __init__(self, task_id: TaskId, *, dies: bool = False, value: bytes = b'{"number": 1}') -> None:
        self.stage = 0
        self.looks = 0
        self.closed = 0
        self._task_id = task_id
        self._dies = dies
        self._value = value

    def move(self) -> None:
        """On to the next stage."""
        self.stage += 1

    def close(self) -> None:
        """Nothing is open."""
        self.closed += 1

    def find(self) -> Findings:
        """Where it is."""
        self.looks += 1
        task_id, stage = self._task_id, self.stage
        headers = (("trace", HOSTILE.encode()),)
        record = Record(task_id.topic, task_id.partition, task_id.first, BEGAN_MS, b"key", self._value, headers)
        now = BEGAN_MS + 100 * stage
        state = replace(_WAITING, enqueued_ms=BEGAN_MS + 100)
        if stage >= 2:
            state = replace(state, owner="w", claims=1, claimed_ms=BEGAN_MS + 200, lease_ms=now + 300_000)
        queue = QueueSearch(7, 8, complete=True) if stage == 1 else None
        letters = DeadLetters((letter_record(task_id),) if self._dies else (), 1, complete=True) if stage >= 3 else None
        position = task_id.first + (1 if stage else 0)
        head = Head.of({"ledger": "l", "position": str(position), "committed": "0"})
        in_flight = stage in {1, 2}
        entry = EntryView(
            Condition.SOUND, now, head, str(task_id.first) if in_flight else None, state if in_flight else None, b"",
            BEGAN_MS + 100 if in_flight else None, taken=False,
        )  # fmt: skip
        return Findings(task_id, entry, queue, KafkaView(0, task_id.first + 5, record), letters)


def letter_record(task_id: TaskId, offset: int = 0, error: str = "ValueError: no such order: 1") -> Record:
    """The dead letter of a message, as the consumer writes it."""
    told = {
        "__dlq.errors.topic": task_id.topic, "__dlq.errors.partition": str(task_id.partition),
        "__dlq.errors.offset": str(task_id.first), "__dlq.errors.group": task_id.group,
        "__dlq.errors.delivery.count": "1", "__dlq.errors.message": error,
        "x-original-topic": task_id.topic, "x-original-partition": str(task_id.partition),
        "x-original-offset": str(task_id.first), "x-original-timestamp": str(BEGAN_MS),
        "ferry.reason": error.partition(":")[0], "ferry.task-id": task_id.text,
    }  # fmt: skip
    headers = (("trace", b"00-4bf92f"), *((name, value.encode()) for name, value in told.items()))
    value = b'{"number": %d, "note": "%s"}' % (task_id.first, HOSTILE.replace('"', "'").encode())
    return Record(f"{task_id.topic}.dlq", 0, offset, BEGAN_MS + 60_000 * offset, b"customer-7", value, headers)


class MadeUpLetters:
    """A topic of dead letters, and what was replayed; `away` is raised instead."""

    def __init__(self, count: int = 5) -> None:
        errors = ("ValueError: no such order: 1", f"invalid: number: {HOSTILE}", "TimeLimitExceeded: 300 s")
        self.records = [
            letter_record(TaskId("ferry", "orders", number % 3, 40 + number, 40 + number), number, errors[number % 3])
            for number in range(count)
        ]
        self.queries: list[LetterQuery] = []
        self.requests: list[ReplayRequest] = []
        self.replayed: list[int] = []
        self.away: Exception | None = None
        self._lock = threading.Lock()

    def list(self, query: LetterQuery) -> dict[str, Any]:
        """Those that are asked for, newest first."""
        with self._lock:
            self.queries.append(query)
        if self.away is not None:
            raise self.away
        letters = [letter_of(record) for record in reversed(self.records)]
        values = {record.offset: record.value for record in self.records}
        found = [letter for letter in letters if query.wanted.takes(letter, values[letter.offset])]
        more = len(found) > query.limit
        return list_document(
            LetterList(("orders.dlq",), (), tuple(found[: query.limit]), more, len(letters), complete=True)
        )

    def show(self, place: LetterPlace) -> dict[str, Any] | None:
        """One of them."""
        for record in self.records:
            if (record.topic, record.partition, record.offset) == (place.topic, place.partition, place.offset):
                return show_document(letter_of(record).id, [record], complete=True, missing=())
        return None

    def replay(self, request: ReplayRequest) -> dict[str, Any]:
        """Each once, unless forced."""
        self.requests.append(request)
        if self.away is not None:
            raise self.away
        tally = Tally()
        for place in request.letters:
            before = place.offset in self.replayed and not request.force
            tally.add(Result.BEFORE if before else Result.REPLAYED, f"orders.dlq-0-{place.offset}")
            if not request.dry_run and not before:
                self.replayed.append(place.offset)
        outcome = report(tally, Mark("ann@desk", BEGAN_MS), Reach(), dry_run=request.dry_run)
        return {**outcome.facts, "told": list(outcome.sentences), "warnings": list(outcome.warnings)}
