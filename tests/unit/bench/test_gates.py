"""Gates: what of the measured ratios holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import regression
from bench.gates import GATES, Gate, judge
from bench.report import Report, Series

POSITIVE = st.floats(min_value=1e-3, max_value=1e6)
AT_LEAST = Gate("more", "dispatch", "ferry_single", "raw", 0.3, 0.5)
AT_MOST = Gate("less", "latency", "ferry_p50", "plain_p50", 1.2, 0.8, at_least=False)
DRIFT = Gate("drift", "memory", "cpu_drift", None, 10, 5, at_least=False)


def reports(name: str, **values: float | list[float]) -> dict[str, Report]:
    """A report with series of these keys and values."""
    series = [
        Series(key, key, "messages/s", tuple(value if isinstance(value, list) else [value]))
        for key, value in values.items()
    ]
    return {name: Report(name, tuple(series))}


@given(POSITIVE, POSITIVE)
def test_a_ratio_is_over_divided_by_under(over: float, under: float) -> None:
    """And it holds on one side of its limit only."""
    (found,) = judge([AT_LEAST], reports("dispatch", ferry_single=over, raw=under))

    assert found.measured == over / under
    assert found.holds == (over / under >= AT_LEAST.gate)
    assert found.reaches_goal == (over / under >= AT_LEAST.goal)


@given(POSITIVE, POSITIVE)
def test_at_most_is_the_other_side(over: float, under: float) -> None:
    """Of latency and memory less is better."""
    (found,) = judge([AT_MOST], reports("latency", ferry_p50=over, plain_p50=under))

    assert found.holds == (over / under <= AT_MOST.gate)


def test_the_median_counts() -> None:
    """One round that was disturbed changes nothing."""
    (found,) = judge([AT_LEAST], reports("dispatch", ferry_single=[40, 1, 42], raw=[100, 100, 5]))

    assert found.measured == pytest.approx(0.4)


@pytest.mark.parametrize(("drift", "holds"), [(-11, False), (-9, True), (9, True), (11, False)])
def test_a_drift_is_judged_without_its_sign(drift: float, holds: bool) -> None:
    """Cheaper by 11 % along the way isn't flat either."""
    (found,) = judge([DRIFT], reports("memory", cpu_drift=drift))

    assert found.holds is holds


@pytest.mark.parametrize("found", [{}, reports("dispatch", raw=1.0), reports("dispatch", ferry_single=1.0)])
def test_what_was_not_measured_does_not_hold(found: dict[str, Report]) -> None:
    """Neither without the report nor without one of its series."""
    (judged,) = judge([AT_LEAST], found)

    assert (judged.measured, judged.holds, judged.reaches_goal) == (None, False, False)


@pytest.mark.parametrize("gate", [*GATES, *regression.GATES], ids=lambda gate: gate.what)
def test_a_goal_is_beyond_its_gate(gate: Gate) -> None:
    """Whoever reaches the goal is through the gate."""
    assert gate.holds(gate.goal, gate.gate)
    assert not gate.holds(gate.gate, gate.goal)


def test_every_gate_is_named_once() -> None:
    """Two rows of the same name could not be told apart."""
    for table in (GATES, regression.GATES):
        assert len({gate.what for gate in table}) == len(table)


@pytest.mark.parametrize("gate", regression.GATES, ids=lambda gate: gate.what)
def test_a_halving_is_caught(gate: Gate) -> None:
    """Half of what is usual is below each limit of the regression check, and three quarters are not."""
    usual = gate.goal
    assert not gate.holds(usual / 2, gate.gate)
    assert gate.holds(usual * 0.75, gate.gate)
