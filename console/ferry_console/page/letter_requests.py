"""What a browser may ask of dead letters, checked before anything is asked of Kafka."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ferry_console.dead_letters.filters import LetterFilter
from ferry_console.moments import moment_ms
from ferry_console.option_values import HIGHEST_PARTITION
from ferry_shared.record import is_topic_name

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Listed and replayed at once; `ferry dead-letters` does more.
MOST_LETTERS = 500
HIGHEST_OFFSET = 2**63 - 1


def _topic_name(text: str) -> str:
    if not is_topic_name(text):
        raise ValueError("expected a topic's name")
    return text


def _moment(text: str) -> int:
    return moment_ms(text.strip(), int(time.time() * 1000))


class LetterPlace(BaseModel):
    """Where a dead letter lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[str, AfterValidator(_topic_name)]
    partition: int = Field(ge=0, le=HIGHEST_PARTITION)
    offset: int = Field(ge=0, le=HIGHEST_OFFSET)


class ReplayRequest(BaseModel):
    """Send these again; with `dry_run` say what would be, with `force` also what was sent again before."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    letters: list[LetterPlace] = Field(min_length=1, max_length=MOST_LETTERS)
    dry_run: bool
    force: bool = False


class LetterQuery(BaseModel):
    """Which dead letters to list; a field that is empty asks for nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[str, AfterValidator(_topic_name)] | None = None
    reason: str | None = None
    since_ms: Annotated[int, BeforeValidator(_moment)] | None = Field(None, alias="since")
    until_ms: Annotated[int, BeforeValidator(_moment)] | None = Field(None, alias="until")
    text: str | None = None
    group: str | None = None
    limit: int = Field(50, ge=1, le=MOST_LETTERS)

    @property
    def wanted(self) -> LetterFilter:
        """The same as a filter."""
        return LetterFilter(self.since_ms, self.until_ms, self.reason, self.text, self.group)


def query_of(parameters: Mapping[str, str]) -> LetterQuery:
    """Read an address's parameters.

    Raises:
        pydantic.ValidationError: one of them isn't what is expected.
    """
    return LetterQuery.model_validate({name: value for name, value in parameters.items() if value.strip()})
