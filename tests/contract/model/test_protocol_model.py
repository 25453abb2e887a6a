"""The promises hold whatever happens in whatever order: the real consumer and tracked task, on a real Valkey."""

import pytest
from hypothesis import HealthCheck

from tests.contract.model.machine import run_model
from tests.contract.model.system import Server


def test_the_promises_hold(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost, dispatched or run twice without a cause, in random histories with every kind of fault."""
    run_model(
        Server(redis_url, monkeypatch),
        max_examples=70,
        stateful_step_count=30,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
