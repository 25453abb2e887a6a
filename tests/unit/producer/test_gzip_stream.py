"""Compressed bytes in any pieces give the plain ones, in pieces of bounded size."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.gzip_stream import DamagedGzip, GzipStream
from ferry_producer.lines import CHUNK_BYTES

CONTENTS = st.lists(st.binary(max_size=300) | st.integers(0, 200_000).map(bytes), min_size=1, max_size=4)


def plain(stream: GzipStream, compressed: bytes, size: int) -> list[bytes]:
    """The pieces that come out when `compressed` goes in in pieces of `size`."""
    cut = [compressed[start : start + size] for start in range(0, len(compressed), size)]
    return [piece for chunk in cut for piece in stream.feed(chunk)]


@given(CONTENTS, st.integers(1, 100), st.integers(0, 3))
def test_any_cut_gives_the_content_of_all_files(contents: list[bytes], size: int, zeros: int) -> None:
    """Several compressed files are one, zeros after them are none."""
    stream = GzipStream()
    pieces = plain(stream, b"".join(gzip.compress(content) for content in contents) + b"\0" * zeros, size)
    stream.end()
    assert b"".join(pieces) == b"".join(contents)
    assert max(map(len, pieces), default=0) <= CHUNK_BYTES


@pytest.mark.timeout(30)
@pytest.mark.parametrize("size", range(1, 200))
def test_a_file_may_end_anywhere_in_a_piece(size: int) -> None:
    """Also where more comes out than one piece holds, and the next file begins right behind."""
    contents = [bytes(range(70)), bytes(2 * CHUNK_BYTES), bytes(range(105))]
    stream = GzipStream()
    pieces = plain(stream, b"".join(map(gzip.compress, contents)), size)
    stream.end()
    assert b"".join(pieces) == b"".join(contents)


def test_a_bomb_comes_in_pieces() -> None:
    """A gigabyte in a megabyte would not fit into memory at once."""
    pieces = plain(GzipStream(), gzip.compress(bytes(50_000_000)), CHUNK_BYTES)
    assert (sum(map(len, pieces)), max(map(len, pieces))) == (50_000_000, CHUNK_BYTES)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_missing_end_is_told(cut: int) -> None:
    """A download that broke off isn't taken for the whole."""
    stream = GzipStream()
    plain(stream, gzip.compress(b"line\n" * 1_000)[:-cut], 10)
    with pytest.raises(DamagedGzip, match="the end of the gzip data is missing"):
        stream.end()


def test_damage_is_told() -> None:
    """A changed byte is found by the checksum, garbage between two files by its beginning."""
    whole = bytearray(gzip.compress(b"line\n" * 1_000))
    whole[-5] ^= 1
    for content in (bytes(whole), gzip.compress(b"a") + b"garbage"):
        with pytest.raises(DamagedGzip, match="damaged gzip data"):
            plain(GzipStream(), content, 1_000)
