"""Fixtures of the contract tests."""

from collections.abc import Iterator

import pytest

from tests.support.ledger_probe import LedgerProbe


@pytest.fixture
def ledger(redis_url: str, group: str, topic: str) -> Iterator[LedgerProbe]:
    """A ledger in an empty database; it doesn't exist yet."""
    with LedgerProbe(redis_url, group, topic) as probe:
        yield probe
