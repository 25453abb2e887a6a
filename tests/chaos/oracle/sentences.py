"""How a problem names ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Ids that a sentence names; the record has them all.
NAMED = 5


def some(ids: Sequence[object]) -> str:
    """The first few, with dots if there are more."""
    return ", ".join(map(str, ids[:NAMED])) + (" ..." if len(ids) > NAMED else "")
