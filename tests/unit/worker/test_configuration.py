"""Ferry's settings as Celery's configuration."""

from typing import Any

import pytest
from kombu import Connection

from ferry_shared.errors import ConfigurationError
from ferry_shared.message import Message
from ferry_shared.routes import Route
from ferry_shared.settings import WorkerSettings
from ferry_worker.configuration import celery_configuration, exit_for, import_names, queues, redis_scheme
from ferry_worker.schedule import STATUS_QUEUE

ROUTES = (Route("orders", Message, "handleOrder", "orders"), Route("messages", Message, "printSomething"))


def configuration(**settings: Any) -> dict[str, Any]:
    """Return the configuration for these settings."""
    return celery_configuration(WorkerSettings(**settings), ROUTES)


def test_the_visibility_timeout_is_in_all_three_places() -> None:
    """Celery looks in three places, and each says hard limit plus two margins."""
    conf = configuration(worker_task_time_limit_seconds=300, worker_lease_margin_seconds=20)
    places = (conf, conf["broker_transport_options"], conf["result_backend_transport_options"])
    assert [place["visibility_timeout"] for place in places] == [340, 340, 340]


def test_a_dead_workers_tasks_are_swept_within_ten_seconds() -> None:
    """A sweep, and the lock of a sweeper that died, together take at most ten seconds."""
    options = configuration()["broker_transport_options"]
    sweep = options["unacked_restore_interval"] * options["unacked_restore_throttle"]
    assert sweep + options["unacked_mutex_expire"] <= 10


def test_late_acknowledgement_survives_a_lost_child() -> None:
    """The settings without which Celery loses the task of a killed child."""
    conf = configuration()
    names = ("task_acks_late", "task_reject_on_worker_lost", "task_acks_on_failure", "task_acks_on_timeout")
    assert [conf[name] for name in names] == [True] * 4


def test_only_json_is_accepted() -> None:
    """No pickle from a queue that others can write to."""
    conf = configuration()
    assert conf["accept_content"] == conf["result_accept_content"] == ["json"]
    assert conf["task_serializer"] == conf["result_serializer"] == "json"


def test_queues_are_the_routes_the_default_and_beats() -> None:
    """Each has an exchange and a routing key of its own."""
    found = queues(ROUTES)
    assert list(found) == ["celery", "orders", STATUS_QUEUE]
    assert found["orders"] == {"exchange": "orders", "routing_key": "orders"}


def test_the_key_prefix_is_kombus() -> None:
    """Queues and results get the prefix that the ledger's keys have."""
    conf = configuration(ferry_key_prefix="blue-")
    assert conf["broker_transport_options"]["global_keyprefix"] == "blue-"
    assert conf["result_backend_transport_options"]["global_keyprefix"] == "blue-"


def test_without_backend_no_results() -> None:
    """Nothing is stored, and no nightly clean-up is scheduled."""
    conf = configuration()
    assert (conf["result_backend"], conf["task_ignore_result"], conf["result_expires"]) == (None, True, None)


def test_with_backend_results_are_kept() -> None:
    """Celery's own defaults apply to results where there is a backend."""
    conf = configuration(celery_result_backend="valkey://localhost/1")
    assert conf["result_backend"] == "redis://localhost/1"
    assert "task_ignore_result" not in conf


@pytest.mark.parametrize(
    ("url", "known"),
    [("valkey://u:p@h/0", "redis://u:p@h/0"), ("valkeys://h", "rediss://h"), ("rediss://h", "rediss://h")],
)
def test_valkeys_schemes_are_redis_to_kombu(url: str, known: str) -> None:
    """kombu doesn't know `valkey://`."""
    assert redis_scheme(url) == known


def test_imports_are_a_list_of_names() -> None:
    """Spaces and empty parts don't matter."""
    assert import_names(WorkerSettings(ferry_imports=" orders.tasks, ,more.tasks")) == ("orders.tasks", "more.tasks")


def test_a_refusal_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence goes to standard error, the exit code is 2."""
    with pytest.raises(SystemExit) as ended:
        exit_for(ConfigurationError("FERRY_X: expected y"))
    assert (ended.value.code, capsys.readouterr().err) == (2, "FERRY_X: expected y\n")


def test_the_transport_keeps_its_address() -> None:
    """kombu drops it when a connection is lost; acknowledgements of running tasks still need it."""
    with Connection("redis://localhost:6380/3", transport=configuration()["broker_transport"]) as connection:
        transport = connection.transport
        transport.client = None
        assert (transport.client.port, transport.client.virtual_host) == (6380, "3")
