"""What a measurement found, and its form as a JSON file."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of one round. `key` names it in files and gates, `label` for people."""

    key: str
    label: str
    unit: str
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """The same number in all rounds."""

    key: str
    label: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Half of the rounds are at or above it."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Report:
    """A measurement: its series, what could not be measured and why, and what was measured how.

    `code` holds the peers' programs by name.
    """

    name: str
    series: tuple[Series, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)

    def find(self, key: str) -> Series | None:
        """The series of that name, if it was measured."""
        return next((series for series in self.series if series.key == key), None)

    def to_document(self) -> dict[str, Any]:
        """As JSON takes it; medians are there for readers, and not read back."""
        document = asdict(self)
        document["series"] = [
            asdict(series) | {"median": series.median, "least": min(series.values), "greatest": max(series.values)}
            for series in self.series
        ]
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Report:
        """Read what `to_document` made.

        Raises:
            ValueError: it is something else.
        """
        try:
            series = tuple(
                Series(str(item["key"]), str(item["label"]), str(item["unit"]), tuple(map(float, item["values"])))
                for item in document["series"]
            )
            if not all(item.values for item in series):
                raise ValueError("a series without values")
            return cls(
                str(document["name"]),
                series,
                dict(document["missing"]),
                tuple(document["notes"]),
                dict(document["facts"]),
                dict(document["code"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no report of a measurement: {type(error).__name__}: {error}") from error


def series_of(readings: Iterable[Reading]) -> tuple[Series, ...]:
    """Put the rounds together, in the order in which each key came first."""
    found: dict[str, list[Reading]] = {}
    for reading in readings:
        found.setdefault(reading.key, []).append(reading)
    return tuple(
        Series(key, items[0].label, items[0].unit, tuple(item.value for item in items)) for key, items in found.items()
    )
