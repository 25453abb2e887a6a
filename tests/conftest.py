"""Fixtures of all tests: a real Kafka and a real Valkey for the session, fresh names and processes for each test."""

import itertools
import logging
import os
import secrets
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest
from celery.signals import task_postrun, task_prerun, task_success

from ferry_console.local.errors import LocalSystemError
from ferry_console.local.kafka import LocalKafka
from ferry_console.local.kafka_jars import class_path
from ferry_console.local.valkey import LocalValkey
from tests.support.clean_environment import clean_environment
from tests.support.ferry_processes import FerryProcesses

_DATABASES = 2_000
_PROCESSES = pytest.StashKey[FerryProcesses]()
_Server = TypeVar("_Server", LocalKafka, LocalValkey)
_next_database = itertools.count(1)

# A pause of the machine is no failure: no test here is about how long one example takes.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")


@pytest.fixture(scope="session", autouse=True)
def _signals_as_on_a_terminal() -> None:
    """`nohup`, and the background of a script, have signals ignored that tests send, also to processes they start."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    """Kafka's artifacts are downloaded: for tests that start a Kafka of their own."""
    with _skipped_if_allowed():
        class_path()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A real Kafka, started once for all tests."""
    yield from _started(LocalKafka(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalValkey]:
    """A real Valkey, started once for all tests."""
    yield from _started(LocalValkey(tmp_path_factory.mktemp("valkey"), databases=_DATABASES))


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalValkey]:
    """A Valkey of this test's own, which it may stop, fill or configure."""
    yield from _started(LocalValkey(tmp_path_factory.mktemp("valkey")))


@pytest.fixture
def redis_url(valkey: LocalValkey) -> str:
    """The address of an empty Valkey database of this test's own: broker and ledger."""
    return valkey.database_url(next(_next_database))


@pytest.fixture
def topic() -> str:
    """A topic name nobody has used; the topic doesn't exist."""
    return f"topic-{secrets.token_hex(4)}"


@pytest.fixture
def group() -> str:
    """A consumer group name nobody has used."""
    return f"group-{secrets.token_hex(4)}"


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, kafka: LocalKafka, redis_url: str, topic: str, group: str
) -> dict[str, str]:
    """The environment variables that lead every part of Ferry to this test's servers and names."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CELERY_BROKER_URL": redis_url,
        "FERRY_TOPIC": topic,
        "CONSUMER_GROUP": group,
        "CONSUMER_HTTP_PORT": "0",
    } | ({"CONSUMER_BATCH_SIZE": "1"} if _plays_a_worker(request) else {})


def _plays_a_worker(request: pytest.FixtureRequest) -> bool:
    """Whether it takes single messages out of the queue by itself, what a batch would not allow."""
    return "queue" in request.fixturenames or request.node.get_closest_marker("single_messages") is not None


@pytest.fixture
def ferry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]
) -> Iterator[FerryProcesses]:
    """Starts Ferry's programs with `settings`; stops them, and shows their output if the test fails."""
    processes = FerryProcesses(tmp_path_factory.mktemp("ferry"), settings)
    request.node.stash[_PROCESSES] = processes
    try:
        yield processes
    finally:
        processes.stop_all()


@pytest.fixture
def nobody_observes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Celery as it is in a new process: whatever ran here before may have connected to signals, or have it log more."""
    for told in (task_prerun, task_postrun, task_success):
        monkeypatch.setattr(told, "receivers", [])
    trace_log = logging.getLogger("celery.app.trace")
    level = trace_log.level
    trace_log.setLevel(logging.WARNING)
    yield
    trace_log.setLevel(level)


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see no setting of the machine they run on: no variable, and no `.env` in the working directory."""
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the output of the test's processes to the report of a failed test."""
    report = yield
    processes = item.stash.get(_PROCESSES, None)
    if report.failed and processes is not None:
        report.sections.extend(processes.reports())
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test fails the run: there, nothing may be missing unless FERRY_ALLOW_SKIP says so."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = bool(reporter and reporter.stats.get("skipped"))
    if skipped and os.environ.get("CI") == "true" and os.environ.get("FERRY_ALLOW_SKIP") != "1":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@contextmanager
def _skipped_if_allowed() -> Iterator[None]:
    """A part that is missing fails the test, unless FERRY_ALLOW_SKIP=1."""
    try:
        yield
    except LocalSystemError as error:
        if os.environ.get("FERRY_ALLOW_SKIP") == "1":
            pytest.skip(str(error))
        raise


def _started(server: _Server) -> Iterator[_Server]:
    """A server that is ready; it is stopped afterwards, also when it did not become ready."""
    try:
        with _skipped_if_allowed():
            server.start()
            server.wait_ready()
        yield server
    finally:
        server.stop()
