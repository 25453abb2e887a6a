"""What sources say of the message `orders-3-42@blue`, for the tests of `ferry trace`."""

from dataclasses import replace

from ferry_console.trace.findings import DeadLetters, Findings, KafkaView
from ferry_shared.ledger.consumer_ledger import Condition, Head
from ferry_shared.ledger.entry_view import EntryState, EntryView, QueueSearch
from ferry_shared.record import Record, TaskId

NOW_MS = 1_700_000_000_000
TASK = TaskId("blue", "orders", 3, 42, 42)
RECORD = Record("orders", 3, 42, NOW_MS - 9_000, b"key", b'{"number": 1}', (("trace", b"\xff"), ("none", None)))
FOUND = KafkaView(0, 90, RECORD)
GONE = KafkaView(0, 90, None)
NO_LETTERS = DeadLetters((), 7, complete=True)
LETTER = DeadLetters(
    (Record("orders.dlq", 0, 17, NOW_MS - 1_000, b"key", b"{}", (("ferry.reason", b"invalid"),)),), 7, complete=True
)
ABSENT = EntryView(Condition.ABSENT, NOW_MS, None, None, None, b"", None, taken=False)
STATE = EntryState("2.3", 1, 0, 1, NOW_MS - 4_000, None, 0, None, None, None)

RUNNING = replace(STATE, claims=1, owner="o", lease_ms=NOW_MS + 60_000, claimed_ms=NOW_MS - 1_000)


def head(position: int = 80, **fields: str) -> Head:
    """A ledger's head."""
    return Head.of({"ledger": "l", "position": str(position), "committed": "40", **fields})


def in_flight(state: EntryState, *, taken: bool = False, payload: bytes = b"") -> EntryView:
    """The message is in flight."""
    return EntryView(Condition.SOUND, NOW_MS, head(), "42", state, payload, NOW_MS - 5_000, taken)


def ended(position: int = 80, **fields: str) -> EntryView:
    """The message isn't in flight."""
    return EntryView(Condition.SOUND, NOW_MS, head(position, **fields), None, None, b"", None, taken=False)


def findings(
    entry: EntryView | None,
    queue: QueueSearch | None = None,
    kafka: KafkaView | None = FOUND,
    letters: DeadLetters | None = NO_LETTERS,
    missing: tuple[str, ...] = (),
) -> Findings:
    """Everything that was found."""
    return Findings(TASK, entry, queue, kafka, letters, missing)
