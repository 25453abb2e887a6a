"""What is computed from measured numbers."""

import itertools
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.failures import MeasurementFailed
from bench.figures import (
    MICROSECONDS,
    Sample,
    at_even_speed,
    between,
    control_of,
    drift_percent,
    percentile,
    rate_of,
    slope,
    window_costs,
)

NUMBERS = st.floats(min_value=-1e6, max_value=1e6)
STEPS = st.lists(st.integers(1, 1_000), min_size=3, max_size=60)


def samples(steps: list[int], *, idle_before: float = 0.0, seconds: float = 0.5, cost: float = 0.0) -> list[Sample]:
    """A run that does `steps`, one each `seconds`, after an idle time; each message costs so many CPU seconds."""
    counts = list(itertools.accumulate(steps))
    return [
        Sample(0.0, 0, 1.0),
        *(
            Sample(idle_before + seconds * number, count, 7.0 + count * cost)
            for number, count in enumerate(counts, start=1)
        ),
    ]


@given(st.integers(1, 1_000), st.integers(2, 50), st.floats(0.01, 10), st.floats(0, 100))
def test_an_even_run_has_its_rate(step: int, steps: int, seconds: float, idle: float) -> None:
    """Whatever passed before the first message is no part of it."""
    found = rate_of(samples([step] * steps, idle_before=idle, seconds=seconds))

    assert found == pytest.approx(step / seconds, rel=1e-6)


@given(STEPS, st.floats(0.1, 100))
def test_waiting_at_the_end_changes_nothing(steps: list[int], seconds: float) -> None:
    """The last sample that counts is the first one that has everything."""
    run = samples(steps)
    later = [*run, Sample(run[-1].at + seconds, run[-1].count), Sample(run[-1].at + 2 * seconds, run[-1].count)]

    assert rate_of(later) == rate_of(run)


@pytest.mark.parametrize("counts", [[], [0, 0], [0, 5], [0, 5, 5]])
def test_one_step_has_no_rate(counts: list[int]) -> None:
    """A run that was seen only before and after says nothing of how long it took."""
    with pytest.raises(MeasurementFailed, match="more messages"):
        rate_of([Sample(float(number), count) for number, count in enumerate(counts)])


@given(st.lists(NUMBERS, min_size=1, max_size=200), st.integers(1, 99))
def test_a_percentile_divides_the_values(values: list[float], percent: int) -> None:
    """It lies among them, rises with the per cent, and in the middle it is the median."""
    found = percentile(values, percent)

    assert min(values) - 1e-6 <= found <= max(values) + 1e-6
    assert percentile(values, 50) == pytest.approx(statistics.median(values), abs=1e-6)
    if percent > 1:
        assert percentile(values, percent - 1) <= found + 1e-6
    assert sum(value <= found + 1e-6 for value in values) >= percent / 100 * (len(values) - 1)


@given(NUMBERS, NUMBERS, st.integers(2, 100))
def test_the_slope_of_a_line_is_its_own(start: float, change: float, length: int) -> None:
    """Least squares find a line that is one."""
    assert slope([start + change * number for number in range(length)]) == pytest.approx(change, rel=1e-6, abs=1e-3)


@given(st.floats(0.1, 1e3), st.floats(-0.5, 0.5), st.integers(2, 100))
def test_drift_is_the_lines_change_in_per_cent_of_its_mean(mean: float, share: float, length: int) -> None:
    """A line from mean - half to mean + half of the change drifts by the whole change."""
    line = [mean * (1 + share * (number / (length - 1) - 0.5)) for number in range(length)]

    assert drift_percent(line) == pytest.approx(100 * share, abs=1e-6)


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0.5, 2)), min_size=2, max_size=40))
def test_at_even_speed_only_what_is_not_the_machines_is_left(parts: list[tuple[float, float]]) -> None:
    """Costs that grew in a window by the same share as the control's."""
    costs, slowdown = zip(*parts, strict=True)
    mean = sum(slowdown) / len(slowdown)

    found = at_even_speed([cost * slow for cost, slow in parts], [5 * slow for slow in slowdown])

    assert found == pytest.approx([cost * mean for cost in costs])


def test_a_control_has_costs_of_its_own() -> None:
    """By the same counts."""
    run = [Sample(float(number), 10 * number, 3.0 * number, 7.0 * number) for number in range(9)]
    assert window_costs(control_of(run), 2) == pytest.approx([0.7 * MICROSECONDS] * 2)
    assert window_costs(run, 2) == pytest.approx([0.3 * MICROSECONDS] * 2)


def test_one_value_has_no_drift() -> None:
    """There is nothing to compare it with."""
    assert drift_percent([4.0]) == 0.0


@given(STEPS, st.floats(1e-6, 1e-3), st.data())
def test_an_even_cost_is_found_in_every_window(steps: list[int], cost: float, data: st.DataObject) -> None:
    """Also where edges of windows fall between samples, and whatever the start had cost."""
    windows = data.draw(st.integers(1, len(steps) - 1))

    found = window_costs(samples(steps, cost=cost), windows)

    assert found == pytest.approx([cost * MICROSECONDS] * windows, rel=1e-3, abs=1e-3)


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(1e-3, 1.0)), min_size=3, max_size=40), st.integers(1, 10))
def test_windows_add_up_to_the_whole(parts: list[tuple[int, float]], windows: int) -> None:
    """What is in no window would be lost."""
    assume(windows < len(parts))
    counts = list(itertools.accumulate(count for count, _ in parts))
    costs = list(itertools.accumulate(cost for _, cost in parts))
    run = [Sample(float(number), count, cost) for number, (count, cost) in enumerate(zip(counts, costs, strict=True))]

    found = window_costs(run, windows)

    size = (counts[-1] - counts[0]) / windows
    assert sum(found) * size / MICROSECONDS == pytest.approx(costs[-1] - costs[0])


def test_fewer_samples_than_windows_are_refused() -> None:
    """Windows between the same two samples would all look alike."""
    with pytest.raises(MeasurementFailed, match="more messages"):
        window_costs(samples([10, 10, 10]), 3)


@given(STEPS, st.integers(0, 10_000), st.integers(0, 10_000))
def test_samples_of_a_part(steps: list[int], first: int, last: int) -> None:
    """Those inside, in their order, and none beside."""
    run = samples(steps)
    found = between(run, first, last)

    assert found == sorted(found, key=lambda sample: sample.at)
    assert {sample.count for sample in found} == {sample.count for sample in run} & set(range(first, last + 1))
