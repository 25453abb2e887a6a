"""When Redis counts as nearly full."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.memory_limit import MemoryLimit, is_nearly_full


@pytest.mark.parametrize(
    ("used", "was", "expected"),
    [
        (799, False, False),
        (800, False, True),
        (799, True, True),
        (760, True, True),
        (759, True, False),
        (2000, True, True),
    ],
)
def test_it_pauses_at_the_limit_and_goes_on_well_below(used: int, was: bool, expected: bool) -> None:
    """80 % of 1,000 bytes; on again below 76 %."""
    assert is_nearly_full(used, 1_000, 0.8, was=was) is expected


@given(used=st.integers(0, 2**50), ratio=st.floats(0.01, 1), was=st.booleans())
def test_without_a_maximum_nothing_is_full(used: int, ratio: float, was: bool) -> None:
    """Redis takes what the machine has."""
    assert is_nearly_full(used, 0, ratio, was=was) is False


@given(used=st.integers(0, 2**50), maximum=st.integers(1, 2**50), ratio=st.floats(0.01, 1))
def test_what_pauses_does_not_go_on_at_once(used: int, maximum: int, ratio: float) -> None:
    """At the same use a pause holds, so it can't flap."""
    assert is_nearly_full(used, maximum, ratio, was=True) >= is_nearly_full(used, maximum, ratio, was=False)


class FakeRedis:
    """Answers INFO memory."""

    def __init__(self) -> None:
        self.used, self.maximum, self.asked = 0, 1_000, 0

    def info(self, section: str) -> dict[str, int]:
        """What it uses."""
        assert section == "memory"
        self.asked += 1
        return {"used_memory": self.used, "maxmemory": self.maximum}


def test_it_is_asked_once_a_second_and_told_when_it_changes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at every turn of the loop; one line each way."""
    now, redis = [0.0], FakeRedis()
    client: Any = redis
    limit = MemoryLimit(client, 0.8, clock=lambda: now[0])
    reached = []
    with caplog.at_level("INFO", "ferry.consumer"):
        for second, used in enumerate((100, 900, 900, 100)):
            now[0], redis.used = float(second), used
            limit.look()
            limit.look()
            reached.append(limit.is_reached)
    assert (reached, redis.asked) == ([False, True, True, False], 4)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "Redis uses 90 % of its maxmemory", "Redis uses 10 % of its maxmemory"
    ]  # fmt: skip
