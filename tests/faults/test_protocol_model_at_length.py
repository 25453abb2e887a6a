"""The model test of the protocol with many more and longer histories, fresh ones each time."""

import pytest

from tests.contract.model.machine import run_model
from tests.contract.model.system import Server


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("batch_size", [1, 3], ids=["singles", "batches"])
def test_the_promises_hold_in_many_long_histories(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    """As tests/contract/model does in short: what breaks a promise is printed, shortened, with a seed to repeat it."""
    run_model(Server(redis_url, monkeypatch), batch_size, max_examples=1_500, stateful_step_count=40)
