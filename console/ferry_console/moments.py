"""Times as people read them: how long ago, and when."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_AGO = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhd])", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": _MINUTE, "h": _HOUR, "d": _DAY}
MOMENT_EXPECTED = "expected how long ago, such as 90s, 15m, 2h or 7d, or a time such as 2026-11-21T08:30:00Z"


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


def moment_ms(text: str, now_ms: int) -> int:
    """Read a time as people give it: `2h` before `now_ms`, or ISO 8601, in UTC where no zone is named.

    Returns milliseconds since 1970; raises ValueError, saying what is expected, for anything else.
    """
    if match := _AGO.fullmatch(text):
        return now_ms - int(match["count"]) * _UNIT_SECONDS[match["unit"]] * 1000
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (zoned - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise ValueError(MOMENT_EXPECTED) from None
