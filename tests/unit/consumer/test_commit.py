"""What is committed, and how a commit is known to be ours."""

from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.commit import Signature, committable, to_commit
from ferry_shared.ledger.consumer_ledger import Snapshot

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=30)


def snapshot(position: int, lowest: int | None) -> Snapshot:
    """A snapshot with this position and lowest entry."""
    return Snapshot(position, 0, 0, 0, 0, 0, 0, sound=True, lowest=lowest, oldest_ms=0, now_ms=0, due=())


@given(st.integers(0, 2**53), st.integers(0, 2**53))
def test_never_beyond_what_is_in_flight(position: int, lowest: int) -> None:
    """The lowest entry in flight and everything above stay uncommitted."""
    assert committable(snapshot(position, lowest)) == min(position, lowest)


@given(st.integers(0, 2**53), st.integers(0, 2**53))
def test_never_back(position: int, last_committed: int) -> None:
    """A commit is only sent when it is higher than the last one known."""
    offset = to_commit(snapshot(position, None), last_committed)
    assert offset == (position if position > last_committed else None)


@given(NAMES, NAMES | st.just(""), st.integers(0, 10**17))
def test_a_signature_is_read_as_it_was_written(ledger: str, topic_id: str, epoch: int) -> None:
    """Whatever the ids."""
    signature = Signature(ledger, topic_id, epoch)
    assert Signature.parse(str(signature)) == signature


@given(st.text())
def test_no_other_metadata_passes_for_ours(metadata: str) -> None:
    """Reading it either fails or gives back exactly the text."""
    parsed = Signature.parse(metadata)
    assert parsed is None or str(parsed) == metadata


def test_an_operators_commit_has_no_signature() -> None:
    """kafka-consumer-groups leaves the metadata empty; other versions of Ferry would write another number."""
    assert [Signature.parse(text) for text in (None, "", "ferry:2:a:b:1", "ferry:1:a:b:x", "ferry:1::b:1")] == [
        None
    ] * 5
