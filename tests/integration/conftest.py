"""Fixtures of the integration tests."""

import pytest

from tests.support.queue_reader import QueueReader


@pytest.fixture
def queue(redis_url: str) -> QueueReader:
    """This test's queue."""
    return QueueReader(redis_url)
