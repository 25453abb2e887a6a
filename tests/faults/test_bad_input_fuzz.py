"""Random bytes, random JSON, random valid messages, the whole way. The seed is printed; `FUZZ_SEED` repeats a run."""

import json
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.bad_input_routes import TASK
from tests.support.bad_input_system import BadInputSystem, Place, Sent
from tests.support.ferry_processes import FerryProcesses

FIXED_SEED = 20_260_131
EXAMPLES = 20
#: Records of each kind that one example makes.
RECORDS_AN_EXAMPLE = 25

#: Everything that is a character, controls included; surrogates are none.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
#: What a JSON text can spell, lone surrogates included.
ANY_SPELT = st.text(st.characters(exclude_categories=()), max_size=20)
NUMBERS = st.integers() | st.integers(-(10**300), 10**300) | st.floats(allow_nan=True)
MEMBERS = ANY_SPELT | st.sampled_from(["text", "id", "sent_at", "task", "args", "ferry", "headers", "__type__"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_SPELT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=20,
)
KEYS = st.none() | st.binary(max_size=30) | ANY_TEXT.map(str.encode)
# Names are C strings in the client: they end at a NUL.
HEADER_NAMES = st.sampled_from(["task", "id", "delivery_tag", "ferry"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10
)
HEADERS = st.lists(st.tuples(HEADER_NAMES, st.none() | st.binary(max_size=20)), max_size=3)
VALID = st.fixed_dictionaries(
    {"text": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)},
    optional={"n": st.integers(-(10**300), 10**300), "é\n": ANY_TEXT, "list": st.lists(ANY_TEXT, max_size=3)},
)


def cut(value: bytes, place: float, count: int, replacement: bytes) -> bytes:
    """A valid message with some bytes replaced."""
    at = int(place * len(value))
    return value[:at] + replacement + value[at + count :]


def encoded(message: Any) -> bytes:
    """JSON in UTF-8, as most senders write it; surrogates are spelt."""
    text = json.dumps(message, ensure_ascii=False)
    return (text if text.isprintable() else json.dumps(message)).encode("utf-8", "surrogatepass")


BROKEN = st.builds(cut, VALID.map(encoded), st.floats(0, 1), st.integers(0, 3), st.binary(max_size=3))
#: What the records of each kind hold.
KINDS: dict[str, st.SearchStrategy[bytes]] = {
    "bytes": st.binary(max_size=200),
    "broken": BROKEN,
    "json": ANY_JSON.map(encoded),
    "valid": VALID.map(encoded),
}


def generated(kind: str, number: int, examples: int) -> list[Sent]:
    """Records of a kind, always the same ones for a seed."""
    records: list[Sent] = []
    batch = st.lists(
        st.builds(Sent, KINDS[kind], KEYS, HEADERS), min_size=RECORDS_AN_EXAMPLE, max_size=RECORDS_AN_EXAMPLE
    )

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(batch)
    def collect(made: list[Sent]) -> None:
        records.extend(made)

    collect()
    return records


def send_and_account(system: BadInputSystem, number: int, examples: int) -> None:
    """Send some of every kind, mixed; every one ends once, and the valid ones arrive as they were sent."""
    kinds = {kind: generated(kind, number, examples) for kind in KINDS}
    mixed = [(kind, record) for kind, records in kinds.items() for record in records]
    random.Random(number).shuffle(mixed)
    places = system.send([record for _, record in mixed])
    system.settle()
    system.account()
    done = system.done()
    ended = {
        kind: [place in done for place, (of, _) in zip(places, mixed, strict=True) if of == kind] for kind in KINDS
    }
    assert all(ended["valid"])
    assert not any(ended["bytes"])
    assert 0 < sum(ended["broken"]) < len(ended["broken"])
    assert not all(ended["json"])
    for place, (kind, record) in zip(places, mixed, strict=True):
        if kind == "valid":
            assert_arrived(done[place], record, place)


def assert_arrived(run: dict[str, Any], record: Sent, place: Place) -> None:
    """The worker had what was sent: every character, every digit."""
    sent = json.loads(record.value or b"")
    assert run["text"] == sent.pop("text"), place
    assert run["extra"] == sent, place
    assert run["task"] == TASK


def fresh_seed() -> int:
    """Another one each time, unless FUZZ_SEED says which."""
    return int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))


@pytest.mark.parametrize("number", [FIXED_SEED, fresh_seed()], ids=["fixed", "fresh"])
def test_whatever_is_sent_ends_as_done_or_as_a_dead_letter(ferry: FerryProcesses, topic: str, number: int) -> None:
    """Some thousand records: each ends once, no process restarts, no line is forged."""
    print(f"FUZZ_SEED={number}")
    system = BadInputSystem(ferry, topic)
    send_and_account(system, number, EXAMPLES)
    assert {run["task"] for run in system.runs()} == {TASK}
    system.assert_nothing_restarted()
    system.assert_plain_logs("forged")
    most = system.highest_megabytes()
    assert max(most.values()) <= 200, most


@pytest.mark.long
def test_many_more_of_them_and_nothing_grows(ferry: FerryProcesses, topic: str) -> None:
    """Twelve rounds: what a process needed in the first four is what it needs for all."""
    number = fresh_seed()
    print(f"FUZZ_SEED={number}")
    system = BadInputSystem(ferry, topic)
    for round_number in range(4):
        send_and_account(system, number + round_number, 2 * EXAMPLES)
    before = system.highest_megabytes()
    for round_number in range(4, 12):
        send_and_account(system, number + round_number, 2 * EXAMPLES)
    after = system.highest_megabytes()
    system.assert_nothing_restarted()
    system.assert_plain_logs("forged")
    grown = {name: after[name] - megabytes for name, megabytes in before.items()}
    assert max(grown.values()) <= 12, (before, after)
