"""The promises hold whatever happens in whatever order: the real consumer and tracked task, on a real Valkey."""

import pytest
from hypothesis import Phase

from tests.contract.model.machine import run_model
from tests.contract.model.system import Server


@pytest.mark.parametrize("fixed", [True, False], ids=["the same histories each time", "fresh histories"])
def test_the_promises_hold(redis_url: str, monkeypatch: pytest.MonkeyPatch, fixed: bool) -> None:
    """Nothing is lost, queued or run twice without a cause, in random histories with every kind of fault."""
    # Shortening a failure can take minutes: that is for the long run in tests/faults.
    phases = [Phase.generate]
    run_model(Server(redis_url, monkeypatch), max_examples=40, stateful_step_count=25, derandomize=fixed, phases=phases)
