"""The promises hold whatever happens in whatever order: the real consumer and tracked task, on a real Valkey."""

import pytest
from hypothesis import Phase

from tests.contract.model.machine import run_model
from tests.contract.model.system import Server


@pytest.mark.parametrize("batch_size", [1, 3], ids=["singles", "batches"])
def test_the_promises_hold(redis_url: str, monkeypatch: pytest.MonkeyPatch, batch_size: int) -> None:
    """Nothing is lost, queued or run twice without a cause, in the same random histories each time."""
    # Fresh histories, and shortening a failure, which can take minutes, are for the long run in tests/faults.
    phases = [Phase.generate]
    server = Server(redis_url, monkeypatch)
    run_model(server, batch_size, max_examples=60, stateful_step_count=25, derandomize=True, phases=phases)
