"""Ages and moments as people read them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.moments import MOMENT_EXPECTED, age_text, moment_ms, moment_text


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


NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", NOW_MS - 90_000),
        ("15m", NOW_MS - 900_000),
        ("2h", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 604_800_000),
        ("0s", NOW_MS),
        ("2023-11-14T22:13:20Z", NOW_MS),
        ("2023-11-14T22:13:20.001", NOW_MS + 1),
        ("2023-11-15T00:13:20+02:00", NOW_MS),
        ("2023-11-14", NOW_MS - 80_000_000),
    ],
)
def test_a_time_is_how_long_ago_or_iso(text: str, ms: int) -> None:
    """In UTC where no zone is named."""
    assert moment_ms(text, NOW_MS) == ms


@pytest.mark.parametrize(
    "text", ["", "soon", "2", "2 h", "-2h", "2H", "1w", "\u0665h", "1234567890s", "2023-13-01", "2h\n"]
)
def test_what_is_no_time(text: str) -> None:
    """Is told with what is expected."""
    with pytest.raises(ValueError, match="how long ago") as raised:
        moment_ms(text, NOW_MS)
    assert str(raised.value) == MOMENT_EXPECTED


@given(milliseconds=st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_moment_is_read_back_exactly(milliseconds: int) -> None:
    """What a list shows can be pasted into the next command."""
    assert moment_ms(moment_text(milliseconds), NOW_MS) == milliseconds


@given(text=st.text(max_size=24))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Nothing else is raised."""
    try:
        assert isinstance(moment_ms(text, NOW_MS), int)
    except ValueError as error:
        assert str(error) == MOMENT_EXPECTED  # noqa: PT017 - most texts are none
