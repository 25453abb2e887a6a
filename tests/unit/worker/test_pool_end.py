"""A pool process that ends waits for its parent, but not for long."""

import multiprocessing
import time
from collections.abc import Iterator
from types import SimpleNamespace

import billiard.pool
import pytest

from ferry_worker.pool_end import shorten_pool_end


@pytest.fixture
def _billiards_own_limit() -> Iterator[None]:
    own = billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT
    yield
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = own


@pytest.mark.usefixtures("_billiards_own_limit")
def test_a_result_that_nobody_reads_is_not_waited_for() -> None:
    """Two seconds instead of thirty, where the parent has counted one result less than were sent."""
    process = SimpleNamespace(on_ready_counter=multiprocessing.Value("i", 4))
    shorten_pool_end()

    started = time.monotonic()
    counted = billiard.pool.Worker._ensure_messages_consumed(process, completed=5)

    assert counted is False
    assert 1.0 < time.monotonic() - started < 10.0
