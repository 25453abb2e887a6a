"""Commands in Redis' own form."""

from typing import Any, cast

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import DataError

from ferry_shared.ledger.packing import Word, packed

WORDS = st.one_of(st.text(st.characters(codec="utf-8")), st.binary(), st.integers())


@given(st.lists(WORDS, min_size=1))
def test_it_is_what_redis_own_library_makes(words: list[Word]) -> None:
    """Of whatever there is."""
    assert packed(words) == hiredis.pack_command(cast("Any", tuple(words)))


@pytest.mark.parametrize("word", [None, True, 1.5, ["text"], {}])
def test_nothing_else_is_made_a_text(word: Any) -> None:
    """As redis-py has it."""
    with pytest.raises(DataError):
        packed(("SET", word))


def test_lengths_are_of_bytes() -> None:
    """Not of letters."""
    assert packed(("SET", "ä", 7)) == b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xa4\r\n$1\r\n7\r\n"
