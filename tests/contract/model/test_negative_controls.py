"""The model is no ornament: without one protection of Ferry's, a history breaks the promise that it protects."""

from collections.abc import Callable, Iterable
from functools import cache

import pytest

import ferry_consumer.commit
import ferry_consumer.ledger_reader
from ferry_consumer.dead_letters import DeadLetters
from ferry_consumer.record_reader import RecordReader
from ferry_shared.ledger import scripts
from ferry_shared.ledger.consumer_ledger import Snapshot
from ferry_shared.ledger.scripts import Script
from ferry_shared.record import Record
from tests.contract.model import test_histories as histories
from tests.contract.model.oracle import Broken
from tests.contract.model.system import Server, System

History = Callable[[System], object]
NEVER = "false"


def breaks(
    history: History, promise: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, batch_size: int = 1
) -> None:
    """Assert that the oracle says of this history, which holds otherwise, that the promise is broken."""
    system = System(Server(redis_url, monkeypatch), batch_size)
    try:
        with pytest.raises(Broken, match=f"^{promise}: "):
            history(system)
    finally:
        system.close()


def weaken(monkeypatch: pytest.MonkeyPatch, names: str, protection: str, instead: str) -> None:
    """Replace a condition of a script, or of several, which hold it once each."""
    original = scripts.script

    @cache
    def weakened(wanted: str) -> Script:
        text = original(wanted).text
        if wanted not in names.split():
            return Script(text)
        assert text.count(protection) == 1, f"{wanted}.lua has changed: {protection!r} is what protects"
        return Script(text.replace(protection, instead))

    monkeypatch.setattr(scripts, "script", weakened)


@pytest.mark.parametrize(
    ("promise", "names", "protection", "instead", "history"),
    [
        pytest.param(
            "DISPATCH", "dispatch", "position ~= ARGV[3]", NEVER,
            histories.test_a_dispatch_whose_reply_is_lost_is_not_repeated,
            id="dispatch at any position",
        ),
        pytest.param(
            "DISPATCH", "stranded redeliver", "return oldest - CLOCK_MARGIN_MS", "return math.huge",
            histories.test_a_long_queue_is_not_queued_again,
            id="redelivery of what is still in the queue",
        ),
        pytest.param(
            "DISPATCH", "acquire", "tonumber(ARGV[8])) + 1", "tonumber(ARGV[8]))",
            histories.test_copies_from_before_a_rewind_are_stale,
            id="a rewind in the same epoch",
        ),
        pytest.param(
            "EXECUTION", "claim", "state.token ~= ARGV[3]", NEVER,
            histories.test_copies_from_before_a_rewind_are_stale,
            id="claim of a copy from before a rewind",
        ),
        pytest.param(
            "EXECUTION", "claim", "return {'gone', 0}", "",
            histories.test_a_copy_of_what_is_done_does_not_run,
            id="claim of what is done",
        ),
        pytest.param(
            "EXECUTION", "claim", "state.owner and state.lease > now and state.owner ~= ARGV[4]", NEVER,
            histories.test_a_copy_that_comes_back_while_its_task_runs_does_not_run,
            id="claim under another's lease",
        ),
        pytest.param(
            "EXECUTION", "fail", "state.owner ~= owner", NEVER,
            histories.test_a_worker_that_has_lost_its_claim_says_nothing_more,
            id="an outcome of somebody else",
        ),
        pytest.param(
            "END", "claim", "state.claims > tonumber(ARGV[6])", NEVER,
            histories.test_every_kind_of_record_ends,
            id="no last start",
        ),
        pytest.param(
            "END", "claim", "state.claims > tonumber(ARGV[6])", "state.claims > 2",
            histories.test_every_kind_of_record_ends,
            id="poison after too few starts",
        ),
        pytest.param(
            "LOSS", "redeliver", "save_state(member, state, now)", "remove_entry(member)",
            histories.test_a_message_that_vanishes_when_kafka_has_deleted_its_record,
            id="an entry that goes without a dead letter",
        ),
        pytest.param(
            "END", "redeliver", "state.deliveries >= tonumber(ARGV[8])", "state.deliveries >= 1",
            histories.test_a_worker_that_dies_before_it_has_recorded_a_message,
            id="given up at the first vanished copy",
        ),
    ],
)  # fmt: skip
def test_without_a_protection_in_a_script(
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    promise: str,
    names: str,
    protection: str,
    instead: str,
    history: History,
) -> None:
    """Each of these conditions is needed."""
    weaken(monkeypatch, names, protection, instead)
    breaks(history, promise, redis_url, monkeypatch)


@pytest.mark.parametrize(
    "history",
    [
        histories.test_every_kind_of_record_ends,
        histories.test_what_was_done_and_not_committed_runs_again_after_a_loss,
    ],
    ids=["never done", "done before a loss"],
)
def test_a_commit_of_the_position(history: History, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in flight would be passed over, also what Redis has forgotten and the consumer has queued again."""

    def position(snapshot: Snapshot) -> int:
        return snapshot.position

    monkeypatch.setattr(ferry_consumer.commit, "committable", position)
    breaks(history, "COMMIT", redis_url, monkeypatch)


def test_a_snapshot_that_is_always_trusted(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that went back to before a dispatch would keep its messages from ever being dispatched."""

    def trusted(_partition: object, _snapshot: object) -> bool:
        return True

    monkeypatch.setattr(ferry_consumer.ledger_reader, "_trusted", trusted)
    breaks(
        lambda system: histories.test_redis_goes_back_to_before_a_dispatch(system, False),
        "STUCK",
        redis_url,
        monkeypatch,
    )


def test_an_entry_that_goes_before_its_dead_letter_is_written(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kafka refuses would be forgotten."""
    acknowledged, refused = DeadLetters.take_acknowledged, DeadLetters.take_refused
    monkeypatch.setattr(DeadLetters, "take_acknowledged", lambda letters: [*acknowledged(letters), *refused(letters)])
    breaks(histories.test_an_entry_stays_until_its_dead_letter_is_written, "COMMIT", redis_url, monkeypatch)


def test_a_record_that_is_given_up_though_kafka_has_it(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that vanished would end as a dead letter, and could have been replaced."""

    def read(_reader: object, _place: object, offsets: Iterable[int], _seconds: float) -> dict[int, Record | None]:
        return dict.fromkeys(offsets)

    monkeypatch.setattr(RecordReader, "read", read)
    history = histories.test_a_worker_that_dies_before_it_has_recorded_a_message
    breaks(history, "END", redis_url, monkeypatch)
