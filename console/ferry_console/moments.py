"""Times as people read them: how long ago, and when."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def age_text(seconds: float) -> str:
    """A duration with its unit, in at most two of them: `2.5 s`, `4 min 12 s`, `3 h 5 min`, `12 d 4 h`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, part, part_unit in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size:,} {unit}" + (f" {rest} {part_unit}" if rest else "")
    return f"{seconds:.1f} s"


def moment_text(milliseconds: int) -> str:
    """A time since 1970 as ISO 8601 in UTC; outside the calendar (a sender can claim any time) the number itself."""
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return f"{milliseconds} ms since 1970"
