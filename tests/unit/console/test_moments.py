"""Ages and moments as people read them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.moments import age_text, moment_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (2.54, "2.5 s"), (59.94, "59.9 s"), (59.99, "60.0 s"), (60, "1 min"), (252.7, "4 min 12 s"),
     (3600, "1 h"), (11_100, "3 h 5 min"), (90_000, "1 d 1 h"), (31_536_000, "365 d")],
)  # fmt: skip
def test_an_age_has_at_most_two_units(seconds: float, text: str) -> None:
    """Seconds matter for what is young, days for what is old."""
    assert age_text(seconds) == text


@given(seconds=st.floats(min_value=0, max_value=1e12))
def test_an_age_is_never_more_than_it_says_and_a_unit(seconds: float) -> None:
    """Read back, it is the same up to its smallest unit."""
    sizes = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
    words = age_text(seconds).replace(",", "").split()
    back = sum(float(number) * sizes[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert back == pytest.approx(seconds, abs=0.051) or 0 <= seconds - back < sizes[words[-1]] * (
        60 if len(words) == 2 else 1
    )


@given(milliseconds=st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_moment_is_exact(milliseconds: int) -> None:
    """ISO 8601 in UTC, to the millisecond, for every year that the calendar has."""
    text = moment_text(milliseconds)
    assert text.endswith("Z")
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == milliseconds


@pytest.mark.parametrize("milliseconds", [253_402_300_800_000, -(2**63), 2**63 - 1])
def test_outside_the_calendar_the_number_itself_is_told(milliseconds: int) -> None:
    """A sender can claim any time."""
    assert moment_text(milliseconds) == f"{milliseconds} ms since 1970"
