"""Purging dead letters with a real Valkey: only a partition's beginning goes, and nothing that is being replayed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferry_console.dead_letters import purging
from ferry_console.dead_letters.filters import LetterFilter
from ferry_console.dead_letters.purge_fences import FENCE_SECONDS, Fence, fence_over, raise_fences
from ferry_console.dead_letters.purge_report import Purge, report
from ferry_console.dead_letters.purging import Prefix, Stay, Wanted
from ferry_console.dead_letters.removal import Removal
from ferry_console.dead_letters.replay_marks import Mark, read_marks, settle, take
from ferry_console.dead_letters.replays import Replay, prepared
from ferry_console.topic_log import Stretches
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.keys import purging_key
from ferry_shared.record import Record
from tests.support.ledger_probe import LedgerProbe
from tests.unit.console.fake_log import FakeLog
from tests.unit.console.letter_parts import RECORD, written

if TYPE_CHECKING:
    from ferry_console.topic_log import TopicLog

ALICE, BOB = Mark("alice@host", 1_000), Mark("bob@host", 2_000)
BLUE = Wanted(LetterFilter(group="blue"))
PREFIX, TOPIC = "pre:", "orders.dlq"


@dataclass
class FakeKafka(FakeLog):
    """A log whose beginning can be deleted; `failing` partitions refuse, `when_asked` is called before."""

    logs: dict[str, dict[int, list[Record]]]
    failing: dict[int, str] = field(default_factory=dict)
    deleted: list[tuple[str, Mapping[int, int]]] = field(default_factory=list)
    when_asked: Callable[[], object] = lambda: None
    limit: int = 10**9
    without_a_record: int = 0

    def __post_init__(self) -> None:
        FakeLog.__init__(self, self.logs, self.limit)

    def whole(self, topic: str) -> Stretches:
        """With so many offsets at each partition's end that have no record."""
        return {number: (start, end + self.without_a_record) for number, (start, end) in super().whole(topic).items()}

    def delete(self, topic: str, untils: Mapping[int, int]) -> dict[int, str]:
        """As `RecordDeleter`."""
        self.when_asked()
        self.deleted.append((topic, dict(untils)))
        for number, until in untils.items():
            if number not in self.failing:
                self.logs[topic][number] = [one for one in self.logs[topic][number] if one.offset >= until]
        return {number: why for number, why in self.failing.items() if number in untils}

    def left(self, partition: int = 0) -> list[int]:
        """The offsets that are still there."""
        return [record.offset for record in self.logs[TOPIC][partition]]


def letter(
    number: int, *, error: str = "ValueError: no", group: str = "blue", at: int | None = None, partition: int = 0
) -> Record:
    """A dead letter that lies at the offset `number`, unless it says otherwise."""
    task_id = f"orders-3-{number}@{group}"
    lies_at = number if at is None else at
    record = written(replace(RECORD, offset=number), task_id=task_id, error=error, offset=lies_at, group=group)
    return replace(record, partition=partition)


def ready(number: int) -> Replay:
    """What a replay of it would send."""
    found = prepared(letter(number), ".dlq", force=False)
    assert isinstance(found, Replay)
    return found


def removal(ledger: LedgerProbe, kafka: FakeKafka, wanted: Wanted = BLUE) -> Removal:
    """A purge by Alice."""
    return Removal(ledger.client, PREFIX, cast("TopicLog", kafka), wanted, ALICE)


def purged(ledger: LedgerProbe, kafka: FakeKafka, wanted: Wanted = BLUE) -> Purge:
    """Remove what goes."""
    purge = removal(ledger, kafka, wanted)
    found = purge.survey([TOPIC], {}, 60)
    purge.remove(found, kafka)
    return found


def one_partition(*records: Record) -> FakeKafka:
    """A topic with one partition."""
    return FakeKafka({TOPIC: {0: list(records)}})


def others(ledger: LedgerProbe, *numbers: int, force: bool = False) -> list[Mark | Fence | None]:
    """Have Bob replay these; returns who keeps him from each."""
    return [taken.other for taken in take(ledger.client, PREFIX, [ready(one) for one in numbers], BOB, force=force)]


def test_all_goes_up_to_the_end(ledger: LedgerProbe) -> None:
    """Also what lies behind the last letter and is no record."""
    kafka = FakeKafka(
        {TOPIC: {0: [letter(4), letter(5), letter(9)], 1: [letter(7, at=2, partition=1)], 2: []}}, without_a_record=1
    )
    found = purged(ledger, kafka)
    assert (found.removed, found.stay) == (4, 0)
    assert kafka.deleted == [(TOPIC, {0: 11, 1: 4})]
    assert report(found, ALICE, dry_run=False).exit_code == 0
    assert report(found, ALICE, dry_run=False).sentences == [
        "1970-01-01T00:00:01.000Z alice@host removed 4 dead letters"
    ]


def test_what_is_not_asked_for_holds_what_lies_behind_it(ledger: LedgerProbe) -> None:
    """How many stay, which one is the first and why, and that they were asked for: exit code 1."""
    kafka = one_partition(letter(0), letter(1), letter(2, error="invalid: no"), letter(3), letter(4))
    found = purged(ledger, kafka, Wanted(LetterFilter(reason="ValueError", group="blue")))
    assert kafka.left() == [2, 3, 4]
    assert found.prefixes[TOPIC][0] == Prefix(0, 2, 2, Stay("orders-3-2@blue", "isn't asked for"), 3, 2)
    told = report(found, ALICE, dry_run=False)
    assert told.exit_code == 1
    assert told.sentences[0].endswith("removed 2 dead letters; 3 stay")
    assert told.warnings == [
        "orders.dlq-0: 2 that were to go stay, for Kafka deletes only the beginning of a partition: the first that "
        "stays, orders-3-2@blue, isn't asked for"
    ]


def test_what_stays_and_was_not_asked_for_is_no_fault(ledger: LedgerProbe) -> None:
    """The old ones are gone, as asked."""
    kafka = one_partition(letter(0), letter(1, error="invalid: no"))
    told = report(purged(ledger, kafka, Wanted(LetterFilter(reason="ValueError"))), ALICE, dry_run=False)
    assert (told.exit_code, told.warnings, kafka.left()) == (0, [], [1])


def test_other_groups_and_other_writers_stay_unless_asked_for(ledger: LedgerProbe) -> None:
    """By default a group's own letters go."""
    foreign = replace(RECORD, topic=TOPIC, partition=0, offset=2, headers=())
    kafka = one_partition(letter(0), letter(1, group="red"), foreign, letter(3))
    found = purged(ledger, kafka)
    assert found.prefixes[TOPIC][0].first == Stay("orders-3-1@red", "is of the group red")
    assert purged(ledger, one_partition(foreign)).prefixes[TOPIC][0].first == Stay(
        "orders.dlq-0-2", "was not written by Ferry"
    )
    purged(ledger, kafka, Wanted(LetterFilter()))
    assert kafka.left() == []


def test_only_what_was_replayed(ledger: LedgerProbe) -> None:
    """A mark says so."""
    take(ledger.client, PREFIX, [ready(0), ready(1), ready(3)], BOB, force=False)
    settle(ledger.client, PREFIX, [ready(0), ready(1), ready(3)], [], BOB)
    kafka = one_partition(*map(letter, range(5)))
    found = purged(ledger, kafka, replace(BLUE, only_replayed=True))
    assert kafka.left() == [2, 3, 4]
    assert found.prefixes[TOPIC][0] == Prefix(0, 2, 2, Stay("orders-3-2@blue", "was not replayed"), 3, 1)


@pytest.mark.parametrize("only_replayed", [False, True])
def test_what_is_being_replayed_stays(ledger: LedgerProbe, only_replayed: bool) -> None:
    """It is told who does; force takes it, but never as replayed."""
    take(ledger.client, PREFIX, [ready(0), ready(1)], BOB, force=False)
    settle(ledger.client, PREFIX, [ready(0)], [], BOB)
    kafka = one_partition(letter(0), letter(1))
    wanted = replace(BLUE, only_replayed=only_replayed)
    found = purged(ledger, kafka, wanted)
    assert kafka.left() == [1]
    first = found.prefixes[TOPIC][0].first
    assert first is not None
    assert first.why.startswith("is being replayed by bob@host since 1970-01-01T00:00:02.000Z")
    assert report(found, ALICE, dry_run=False).exit_code == 1
    purged(ledger, kafka, replace(wanted, force=True))
    assert kafka.left() == ([1] if only_replayed else [])


def test_a_replay_that_begins_in_between_keeps_its_letters(ledger: LedgerProbe) -> None:
    """Between the first look, or the question, and the removal."""
    kafka = one_partition(*map(letter, range(4)))
    purge = removal(ledger, kafka)
    found = purge.survey([TOPIC], {}, 60)
    assert found.removed == 4
    assert others(ledger, 2) == [None]
    purge.remove(found, kafka)
    assert kafka.left() == [2, 3]
    assert (found.removed, found.stay) == (2, 2)
    assert others(ledger, 3) == [None], "what stays can be replayed"


@pytest.mark.parametrize("force", [False, True])
def test_a_replay_that_comes_later_learns_of_the_purge(ledger: LedgerProbe, force: bool) -> None:
    """Also one that has read the letter before it went: nothing is sent, and its mark is as it was."""
    take(ledger.client, PREFIX, [ready(0)], BOB, force=False)
    settle(ledger.client, PREFIX, [ready(0)], [], BOB)
    told: list[Mark | Fence | None] = []
    kafka = one_partition(letter(0), letter(1))
    kafka.when_asked = lambda: told.extend(others(ledger, 0, 1, force=force))
    purged(ledger, kafka)
    told += others(ledger, 1, 2, force=force)
    fence = Fence(2, "alice@host", 1_000)
    assert told == [fence, fence, fence, None]
    assert read_marks(ledger.client, PREFIX, [ready(0), ready(1)]) == [replace(BOB, sent=True), None]
    assert 0 < ledger.client.ttl(purging_key(PREFIX, TOPIC)) <= FENCE_SECONDS


def test_what_kafka_refuses_stays_and_can_be_replayed(ledger: LedgerProbe) -> None:
    """The other partitions go; the reason is told."""
    kafka = FakeKafka({TOPIC: {0: [letter(0)], 1: [letter(1, at=0, partition=1)]}}, failing={0: "no leader"})
    found = purged(ledger, kafka)
    told = report(found, ALICE, dry_run=False)
    assert (found.removed, found.stay, told.exit_code) == (1, 1, 1)
    assert told.warnings == ["orders.dlq-0: Kafka didn't delete: no leader"]
    assert others(ledger, 0) == [None]


def test_when_kafka_goes_away_what_is_gone_is_told(ledger: LedgerProbe) -> None:
    """Of the topics behind it nothing goes."""
    kafka = FakeKafka({TOPIC: {0: [letter(0)]}, "shop.dlq": {0: [letter(1), letter(2)]}})
    purge = removal(ledger, kafka)
    found = purge.survey([TOPIC, "shop.dlq"], {}, 60)

    def away() -> None:
        if kafka.deleted:
            raise KafkaUnavailable("Kafka is away")

    kafka.when_asked = away
    purge.remove(found, kafka)
    told = report(found, ALICE, dry_run=False)
    assert (found.removed, found.stay, told.exit_code) == (1, 2, 3)
    assert told.warnings == ["ended early: Kafka is away"]


def test_what_is_gone_is_told_also_when_redis_goes_away_then(ledger: LedgerProbe) -> None:
    """The fence can't be lowered any more, and ends by itself."""
    kafka = one_partition(letter(0), letter(1, error="invalid: no"))
    purge = removal(ledger, kafka, Wanted(LetterFilter(reason="ValueError")))
    found = purge.survey([TOPIC], {}, 60)
    kafka.when_asked = lambda: setattr(purge, "_client", connect("redis://127.0.0.1:1/0"))
    purge.remove(found, kafka)
    assert (kafka.left(), found.removed, found.cut_short) == ([1], 1, None)


def test_nothing_is_asked_of_kafka_where_nothing_may_go(ledger: LedgerProbe) -> None:
    """All letters are being replayed since the first look."""
    kafka = one_partition(letter(0))
    purge = removal(ledger, kafka)
    found = purge.survey([TOPIC], {}, 60)
    take(ledger.client, PREFIX, [ready(0)], BOB, force=False)
    purge.remove(found, kafka)
    assert (kafka.deleted, found.removed, found.stay) == ([], 0, 1)


def test_a_search_that_is_cut_short_removes_what_it_has_seen(ledger: LedgerProbe) -> None:
    """Nothing behind that; the second look must see the same."""
    kafka = FakeKafka({TOPIC: {0: [letter(number) for number in range(10)]}}, limit=4)
    purge = removal(ledger, kafka)
    found = purge.survey([TOPIC], {}, 60)
    assert found.prefixes[TOPIC][0].until == 4
    FakeLog.__init__(kafka, kafka.logs, 3)
    purge.remove(found, kafka)
    assert kafka.left() == list(range(3, 10))
    assert report(found, ALICE, dry_run=False).exit_code == 1


def test_topics_that_are_absent_or_refused_are_left_alone(ledger: LedgerProbe) -> None:
    """With a sentence each; where none is there, exit code 1."""
    kafka = FakeKafka({TOPIC: {0: [letter(0)]}})
    found = removal(ledger, kafka).survey([TOPIC, "shop.dlq"], {TOPIC: "it is compacted"}, 60)
    told = report(found, ALICE, dry_run=True)
    assert (told.exit_code, told.warnings) == (
        1,
        ["there is no topic shop.dlq: nothing has failed there yet, or it is misspelt",
         "orders.dlq is left alone: it is compacted"],
    )  # fmt: skip
    assert kafka.stretches == []


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"until": "x", "who": "a", "when_ms": 1}', b"\xff"])
def test_a_fence_that_can_not_be_read_covers_all(text: bytes) -> None:
    """It ends by itself; a letter that is removed doesn't come back."""
    assert fence_over(text, 5) == Fence(5, "unknown", 0)


def test_a_fence_covers_what_lies_before_it(ledger: LedgerProbe) -> None:
    """Of its partition."""
    raise_fences(ledger.client, PREFIX, TOPIC, {0: Fence(5, "a", 1), 1: Fence(9, "b", 2)})
    stored = cast("dict[bytes, bytes]", ledger.client.hgetall(purging_key(PREFIX, TOPIC)))
    assert fence_over(stored[b"0"], 4) == Fence(5, "a", 1)
    assert fence_over(stored[b"0"], 5) is None
    assert fence_over(stored[b"1"], 8) == Fence(9, "b", 2)
    assert fence_over(None, 0) is None


STATES = ("new", "sent", "sending")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    letters=st.lists(st.tuples(st.booleans(), st.sampled_from(STATES), st.integers(1, 3)), max_size=12),
    only_replayed=st.booleans(), force=st.booleans(), batch=st.integers(1, 4),
)  # fmt: skip
def test_whatever_lies_there_only_its_beginning_goes(
    ledger: LedgerProbe,
    monkeypatch: pytest.MonkeyPatch,
    letters: Sequence[tuple[bool, str, int]],
    only_replayed: bool,
    force: bool,
    batch: int,
) -> None:
    """Each that goes was asked for and isn't being replayed; all such ones before the first other one go; all counted,
    in batches of any size."""
    monkeypatch.setattr(purging, "BATCH_LETTERS", batch)
    ledger.client.flushdb()
    offset, records, may_go, asked = 0, [], [], []
    for is_asked, state, gap in letters:
        offset += gap
        records.append(letter(offset, error="ValueError: no" if is_asked else "invalid: no"))
        if state != "new":
            take(ledger.client, PREFIX, [ready(offset)], BOB, force=False)
        if state == "sent":
            settle(ledger.client, PREFIX, [ready(offset)], [], BOB)
        asked.append(is_asked and not (only_replayed and state == "new"))
        may_go.append(asked[-1] and (state != "sending" or (force and not only_replayed)))
    kafka = one_partition(*records)
    wanted = Wanted(LetterFilter(reason="ValueError"), only_replayed, force)
    found = purged(ledger, kafka, wanted)
    goes = may_go.index(False) if False in may_go else len(records)
    assert kafka.left() == [record.offset for record in records[goes:]]
    prefix = found.prefixes[TOPIC][0]
    assert (prefix.letters, prefix.stay, prefix.asked_for) == (goes, len(records) - goes, sum(asked[goes:]))
