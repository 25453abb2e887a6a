"""Alternating rounds: everybody once, then everybody again, so that what the machine does meanwhile hits all alike."""

from __future__ import annotations

from contextlib import suppress
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
    """What came of the rounds, and who could not be measured, why."""

    series: tuple[Series, ...]
    missing: dict[str, str] = field(default_factory=dict)


def alternate(subjects: Sequence[Subject], rounds: int, tell: Callable[[str], None]) -> Measured:
    """Measure everybody in each round; who can't be measured is left out from then on, the others go on."""
    readings: list[Reading] = []
    missing: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for subject in subjects:
            if subject.name in missing:
                continue
            tell(f"round {number} of {rounds}: {subject.name}")
            try:
                readings += _readings(subject)
            except MeasurementFailed as error:
                missing[subject.name] = str(error)
    return Measured(series_of(readings), missing)


def _readings(subject: Subject) -> Sequence[Reading]:
    for _ in range(TRIES - 1):
        with suppress(TooFewSamples):
            return subject.measure()
    return subject.measure()


def rate(key: str, label: str, messages_per_second: float) -> list[Reading]:
    """The one reading of most subjects."""
    return [Reading(key, label, "messages/s", messages_per_second)]
