"""Fixtures for a user's own tests: a real Kafka and a real Valkey, on this machine, from packages.

pytest loads this module wherever Ferry is installed, so it needs nothing but pytest until a fixture is used; then it
needs `ferry-kafka[local]`.
"""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, NoReturn, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_console.local.kafka import LocalKafka
    from ferry_console.local.valkey import LocalValkey

    ServerT = TypeVar("ServerT", LocalKafka, LocalValkey)

#: An empty database for each test; after so many the first one is taken again.
DATABASES = 1_000


@pytest.fixture(scope="session")
def ferry_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A real Kafka, started once for all tests: `bootstrap_servers`, and `kill()`, `start()`, `wait_ready()`."""
    try:
        from ferry_console.local.kafka import LocalKafka  # noqa: PLC0415 - as the module says
    except ImportError as error:
        _fail_for(error)
    yield from _started(LocalKafka(tmp_path_factory.mktemp("ferry_kafka")))


@pytest.fixture(scope="session")
def ferry_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalValkey]:
    """A real Valkey, started once for all tests: `url`, and `kill()`, `start()`, `wait_ready()`."""
    try:
        from ferry_console.local.valkey import LocalValkey  # noqa: PLC0415 - as the module says
    except ImportError as error:
        _fail_for(error)
    yield from _started(LocalValkey(tmp_path_factory.mktemp("ferry_valkey"), databases=DATABASES))


@pytest.fixture(scope="session")
def _ferry_databases() -> Iterator[int]:
    return itertools.cycle(range(DATABASES))


@pytest.fixture
def ferry_redis(ferry_valkey: LocalValkey, _ferry_databases: Iterator[int]) -> str:
    """The URL of an empty database of `ferry_valkey`, this test's own: for broker and ledger."""
    import redis  # noqa: PLC0415 - as the module says

    url = ferry_valkey.database_url(next(_ferry_databases))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def ferry_settings(ferry_kafka: LocalKafka, ferry_redis: str) -> dict[str, str]:
    """The variables that lead Ferry's parts to both servers, with a consumer group of this test's own.

    For the environment of processes that a test starts, or for `monkeypatch.setenv`.
    """
    return {
        "KAFKA_BOOTSTRAP_SERVERS": ferry_kafka.bootstrap_servers,
        "CELERY_BROKER_URL": ferry_redis,
        "CONSUMER_GROUP": f"test-{secrets.token_hex(4)}",
        "CONSUMER_HTTP_PORT": "0",
    }


def _started(server: ServerT) -> Iterator[ServerT]:
    """A server that is ready; it is stopped afterwards, also when it did not become ready."""
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.stop()


def _fail_for(error: ImportError) -> NoReturn:
    pytest.fail(f"the local servers need more packages: pip install 'ferry-kafka[local]' ({error})", pytrace=False)
