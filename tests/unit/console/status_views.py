"""A group's ledgers and words for the tests of `ferry status`: one partition where all is well, and strategies."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from ferry_console.status.group_status import GroupStatus, group_status
from ferry_shared.ledger.consumer_ledger import Condition, Head
from ferry_shared.ledger.group_view import LedgerView
from ferry_shared.ledger.pauses import Pause, PauseCause
from ferry_shared.record import TopicPartition
from ferry_shared.status import PartitionStatus

NOW_MS = 1_700_000_000_000
SILENT_AFTER = 15.0
OLD_AFTER = 300.0
PLACE = TopicPartition("orders", 0)


def head(position: int = 90, committed: int = 60, untracked: Mapping[str, str] | None = None, **counts: int) -> Head:
    """A ledger's head; `untracked` is by task."""
    fields = {"format": "1", "ledger": "l", "epoch": "1", "position": str(position), "committed": str(committed)}
    received = {f"untracked:{task}": value for task, value in (untracked or {}).items()}
    return Head.of(fields | received | {name: str(count) for name, count in counts.items()})


def ledger(
    in_flight: int = 30, lowest: str | None = "60", age_seconds: float | None = 2.5, **fields: Any
) -> LedgerView:
    """A sound ledger: offsets 60 to 89 are in flight."""
    dispatched = None if age_seconds is None else NOW_MS - int(age_seconds * 1000)
    return LedgerView(Condition.SOUND, NOW_MS, head(**fields, messages=in_flight, dead_letters=4), lowest, dispatched)


ABSENT = LedgerView(Condition.ABSENT, NOW_MS, None, None, None)


def word(age_seconds: float = 1.0, place: TopicPartition = PLACE, **changed: Any) -> PartitionStatus:
    """What a consumer wrote."""
    fields: dict[str, Any] = {
        "at_ms": NOW_MS - int(age_seconds * 1000), "topic": place.topic, "partition": place.partition,
        "consumer": "host:1", "log_end": 100, "committed": 1, "position": 2, "in_flight": 3, "oldest_ms": 4,
        "dead_letters": 5, "restored": 6, "rewound": 7, "paused": None,
    }  # fmt: skip
    return PartitionStatus(**(fields | changed))


def status(
    *views: LedgerView,
    words: list[PartitionStatus] | None = None,
    pauses: dict[str, Pause] | None = None,
    listening: dict[str, int] | None = None,
) -> GroupStatus:
    """The status of a group with these ledgers: partitions 0 and so on of `orders`."""
    places = [TopicPartition("orders", number) for number in range(len(views))]
    said = [word(place=place) for place in places] if words is None else words
    ledgers = dict(zip(places, views, strict=True))
    return group_status("ferry", NOW_MS, ledgers, said, pauses or {}, SILENT_AFTER, listening=listening)


offsets = st.integers(0, 2**62)
counts = st.integers(0, 2**40)
anything = st.text(max_size=12)
ledgers = st.builds(
    LedgerView,
    condition=st.sampled_from(Condition),
    now_ms=st.just(NOW_MS),
    head=st.none()
    | st.builds(
        head,
        position=offsets,
        committed=offsets,
        messages=counts,
        dead_letters=counts,
        untracked=st.dictionaries(anything, st.builds("{}:{}".format, counts, counts) | anything, max_size=2),
    ),
    lowest=st.none() | st.integers(0, 2**40).map(str) | anything,
    dispatched_ms=st.none() | st.integers(1, 2 * NOW_MS),
)
places = st.builds(TopicPartition, anything, st.integers(0, 10_000))
pauses = st.builds(
    Pause, who=anything, when_ms=st.integers(-(2**63), 2**63), why=anything, cause=st.sampled_from(PauseCause)
)


heard = st.none() | st.dictionaries(anything, st.integers(1, 9), max_size=3)


@st.composite
def statuses(draw: st.DrawFn) -> GroupStatus:
    """Any group, with anything that somebody may have written into Redis."""
    found = draw(st.dictionaries(places, ledgers, max_size=6))
    words = [
        word(draw(st.floats(-100, 1e6)), place, consumer=draw(anything), log_end=draw(offsets | st.just(-1)),
             paused=draw(st.none() | anything), queue=draw(anything))
        for place in found
        if draw(st.booleans())
    ]  # fmt: skip
    targets = [target for place in found for target in (place.topic, f"{place.topic}:{place.partition}")]
    stopped = draw(st.dictionaries(st.sampled_from(targets) if targets else anything, pauses, max_size=2))
    return group_status(draw(anything), NOW_MS, found, words, stopped, SILENT_AFTER, listening=draw(heard))
