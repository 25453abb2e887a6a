"""What is left of a record that its dead-letter topic doesn't take."""

from hashlib import sha256

from ferry_consumer.omission import LARGE_PART_BYTES, without_large_parts
from ferry_shared.record import Record

LARGE = b"x" * (LARGE_PART_BYTES + 1)


def record(value: bytes | None, key: bytes | None = b"key", header: bytes = b"1") -> Record:
    """A record with one header."""
    return Record("orders", 3, 17, 1234, key, value, (("trace", header),))


def test_a_large_value_is_left_out_and_told_by_size_and_hash() -> None:
    """Whoever finds the record again in Kafka can compare it."""
    shorter, omitted = without_large_parts(record(LARGE))
    assert shorter == record(None)
    assert omitted == {"ferry.value-omitted": f"1025 bytes, sha256 {sha256(LARGE).hexdigest()}"}


def test_a_large_key_or_large_headers_are_left_out_alone() -> None:
    """The value stays if it isn't what is large."""
    shorter, omitted = without_large_parts(record(b"small", LARGE, LARGE))
    assert (shorter.key, shorter.value, shorter.headers) == (None, b"small", ())
    assert omitted["ferry.key-omitted"] == f"1025 bytes, sha256 {sha256(LARGE).hexdigest()}"
    assert omitted["ferry.headers-omitted"] == "1030 bytes in 1 headers"
    assert "ferry.value-omitted" not in omitted


def test_small_parts_stay() -> None:
    """Then it isn't the record that is too large for the topic."""
    assert without_large_parts(record(b"x" * LARGE_PART_BYTES)) == (record(b"x" * LARGE_PART_BYTES), {})
    assert without_large_parts(record(None, None)) == (record(None, None), {})
