"""Alternating rounds: everybody once, then everybody again, so that what the machine does meanwhile hits all alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.failures import MeasurementFailed, TooFewSamples
from bench.report import Reading, series_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.report import Series

#: Of a round that was over before it was seen; who fails in another way isn't measured again.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """One of those that are compared; `measure` is one round of it."""

    name: str
    measure: Callable[[], Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of the rounds, and who could not be measured, why; `again`: how many rounds of one were not seen."""

    series: tuple[Series, ...]
    missing: dict[str, str] = field(default_factory=dict)
    again: int = 0

    @property
    def facts(self) -> dict[str, float]:
        """What a report tells of the rounds themselves."""
        return {"measured again": self.again} if self.again else {}


def alternate(subjects: Sequence[Subject], rounds: int, tell: Callable[[str], None]) -> Measured:
    """Measure everybody in each round; who can't be measured is left out from then on, the others go on."""
    readings: list[Reading] = []
    missing: dict[str, str] = {}
    again = 0
    for number in range(1, rounds + 1):
        for subject in subjects:
            if subject.name in missing:
                continue
            tell(f"round {number} of {rounds}: {subject.name}")
            try:
                found, unseen = _readings(subject)
            except MeasurementFailed as error:
                missing[subject.name] = str(error)
                continue
            readings += found
            again += unseen
    return Measured(series_of(readings), missing, again)


def _readings(subject: Subject) -> tuple[Sequence[Reading], int]:
    """One round, and how many before it were not seen."""
    for unseen in range(TRIES - 1):
        try:
            return subject.measure(), unseen
        except TooFewSamples:
            continue
    return subject.measure(), TRIES - 1


def rate(key: str, label: str, messages_per_second: float) -> list[Reading]:
    """The one reading of most subjects."""
    return [Reading(key, label, "messages/s", messages_per_second)]
