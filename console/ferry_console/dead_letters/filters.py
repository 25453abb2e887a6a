"""Which dead letters are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from ferry_console.dead_letters.letters import Letter


class FilterArguments(Protocol):
    """What the command line asks for, with times in milliseconds since 1970; None: nothing."""

    topic: str | None
    with_reason: str | None
    since: int | None
    until: int | None
    text: str | None
    group: str | None


def is_filtered(arguments: FilterArguments) -> bool:
    """Whether they ask for anything, leaving aside whose letters."""
    given = (arguments.topic, arguments.with_reason, arguments.since, arguments.until, arguments.text)
    return any(each is not None for each in given)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Those written from `since_ms` to `until_ms` (milliseconds since 1970, both included), of a `reason`, with `text`
    in error or value, in capitals or not, and of a consumer `group`. None asks for nothing."""

    since_ms: int | None = None
    until_ms: int | None = None
    reason: str | None = None
    text: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, arguments: FilterArguments, group: str | None) -> Self:
        """Take them from the command line, but for the topic and the group."""
        return cls(arguments.since, arguments.until, arguments.with_reason, arguments.text, group)

    def takes(self, letter: Letter, value: bytes | None) -> bool:
        """Whether a letter with this value is asked for."""
        return (
            self._is_in_time(letter)
            and self.reason in {None, letter.reason}
            and self.group in {None, letter.group}
            and self._has_text(letter, value)
        )

    def _is_in_time(self, letter: Letter) -> bool:
        if self.since_ms is None and self.until_ms is None:
            return True
        written = letter.written_ms
        if written is None:
            return False
        return (self.since_ms is None or written >= self.since_ms) and (
            self.until_ms is None or written <= self.until_ms
        )

    def _has_text(self, letter: Letter, value: bytes | None) -> bool:
        if self.text is None:
            return True
        wanted = self.text.casefold()
        value_text = (value or b"").decode("utf-8", "backslashreplace")
        return wanted in (letter.error or "").casefold() or wanted in value_text.casefold()
