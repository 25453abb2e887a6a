"""The ledger's keys and tokens: distinct where the places are, in one slot, read as they were written."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferry_shared.ledger.keys import LedgerKeys, Token, encoded, listening_key, member_span, queue_key, status_key
from ferry_shared.record import TopicPartition

NAMES = st.text(st.characters() | st.sampled_from("%:{}%3A\n\x7f"), min_size=1, max_size=20)
PLACES = st.tuples(NAMES, NAMES, st.integers(0, 2**31 - 1))


def keys_of(place: tuple[str, str, int], prefix: str = "") -> LedgerKeys:
    """The keys of group, topic, partition."""
    group, topic, partition = place
    return LedgerKeys.of(prefix, group, TopicPartition(topic, partition))


def hash_tag(key: str) -> str:
    """What Redis Cluster hashes: between the first `{` and the first `}` behind it."""
    return key[key.index("{") + 1 : key.index("}", key.index("{") + 1)]


@given(PLACES, PLACES)
@example(("a:b", "c", 0), ("a", "b:c", 0))
@example(("a%3Ab", "c", 0), ("a:b", "c", 0))
@example(("a", "b}", 0), ("a", "b", 0))
def test_places_that_differ_have_keys_that_differ(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    """No two ledgers share a key, whatever group and topic are called."""
    shared = set(keys_of(one).all) & set(keys_of(other).all)

    assert bool(shared) == (one == other)


@given(PLACES)
def test_the_keys_of_a_ledger_have_one_hash_tag(place: tuple[str, str, int]) -> None:
    """The five keys are distinct, in one slot of a cluster, and harmless in a terminal."""
    keys = keys_of(place).all

    assert len(set(keys)) == 5
    assert len({hash_tag(key) for key in keys}) == 1
    assert all(key.count("{") == key.count("}") == 1 for key in keys)
    assert not any(character < " " or character == "\x7f" for key in keys for character in key)


def test_the_names_of_the_keys() -> None:
    """The names are those of the specification, behind kombu's prefix."""
    keys = LedgerKeys.of("prod-", "ferry", TopicPartition("messages", 3))

    assert keys.all == tuple(
        f"prod-ferry:{{ferry:messages:3}}:{name}" for name in ("head", "inflight", "state", "times", "attention")
    )
    assert (status_key("prod-", "a:b"), queue_key("prod-", "celery")) == ("prod-ferry:status:a%3Ab", "prod-celery")
    assert listening_key("prod-") == "prod-ferry:listening"


@given(st.text(), st.text())
def test_encoding_is_one_to_one(one: str, other: str) -> None:
    """Two names are encoded alike only if they are equal."""
    assert (encoded(one) == encoded(other)) == (one == other)


@pytest.mark.parametrize(("member", "span"), [("0", (0, 0)), ("4711", (4711, 4711)), ("4711-4810-97", (4711, 4810))])
def test_the_span_of_a_member(member: str, span: tuple[int, int]) -> None:
    """A single message spans its offset, a batch its first to last."""
    assert member_span(member) == span


@given(st.integers(0, 2**53), st.integers(0, 10**6))
def test_a_token_is_read_as_it_was_written(epoch: int, attempt: int) -> None:
    """The text of a token is read as the same token."""
    assert Token.parse(str(Token(epoch, attempt))) == Token(epoch, attempt)


@pytest.mark.parametrize("text", ["", ".", "1", "1.", ".1", "1.2.3", "a.b", "1,2"])
def test_what_is_no_token(text: str) -> None:
    """Anything but two numbers is refused."""
    with pytest.raises(ValueError, match=r"."):
        Token.parse(text)
