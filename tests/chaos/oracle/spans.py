"""Spans of time, as pairs of seconds: what of one lies outside of others. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Span = tuple[float, float]


def length_without(span: Span, others: Iterable[Span]) -> float:
    """The seconds of a span that lie in none of the others."""
    start, end = span
    length = 0.0
    for at, until in sorted(others):
        length += max(0.0, min(at, end) - start)
        start = max(start, until)
    return length + max(0.0, end - start)


def common(some: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What lies in one of these and in one of those."""
    known = list(others)
    return [
        (max(one[0], other[0]), min(one[1], other[1]))
        for one in some
        for other in known
        if max(one[0], other[0]) < min(one[1], other[1])
    ]
