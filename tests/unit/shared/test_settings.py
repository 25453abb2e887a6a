"""Settings: where they come from, and what a wrong one is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from ferry_shared.errors import ConfigurationError
from ferry_shared.settings import (
    ConsumerSettings,
    Examined,
    KafkaSettings,
    LogSettings,
    ProducerSettings,
    RedisSettings,
    RoutingSettings,
    Settings,
    WorkerSettings,
    examine,
    load,
    names_given,
)

SECTIONS: list[type[Settings]] = [
    KafkaSettings,
    RedisSettings,
    RoutingSettings,
    LogSettings,
    ProducerSettings,
    ConsumerSettings,
    WorkerSettings,
]
SECRET = "hunter2-hunter2"

#: Values that must be refused, for each setting that has a wrong value.
WRONG = {
    "KAFKA_SECURITY_PROTOCOL": ["SASL", "tls"],
    "KAFKA_CLIENT_PROPERTIES": ["{", "[]", '"text"', '{"a": null}', '{"a": []}', '{"group.protocol": "consumer"}'],
    "CELERY_BROKER_URL": [
        "amqp://localhost",
        "localhost",
        "redis://host:port/0",
        "redis://host/zero",
        "redis://a/0;redis://b/0",
    ],
    "FERRY_LEDGER_URL": ["redis://elsewhere/0", "http://localhost"],
    "FERRY_TOPIC": ["two words", "..", "a/b", "t" * 250, "caf\u00e9"],
    "CONSUMER_GROUP": ["g" * 201],
    "LOG_FORMAT": ["xml", "JSON"],
    "LOG_LEVEL": ["info", "LOUD"],
    "LOG_MESSAGE_TEXT": ["none"],
    "PRODUCER_ACKS": ["2", "-1", "ALL"],
    "PRODUCER_RETRIES": ["-1", "1.5", "many", "2147483648"],
    "PRODUCER_LINGER_MS": ["-1", "900001", "nan", "soon"],
    "PRODUCER_DELIVERY_TIMEOUT_MS": ["0", "1.5", "2147483648"],
    "PRODUCER_MAX_PENDING_MESSAGES": ["0", "10000001"],
    "PRODUCER_CONNECT_TIMEOUT_SECONDS": ["0", "3601", "inf"],
    "PRODUCER_INTERVAL_SECONDS": ["-0.1", "86401"],
    "CONSUMER_SESSION_TIMEOUT_MS": ["5999", "1800001"],
    "CONSUMER_OFFSET_RESET": ["error", "none"],
    "CONSUMER_INTAKE_MAX_MESSAGES": ["0", "100001"],
    "CONSUMER_BATCH_SIZE": ["0", "1001"],
    "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": ["0", "1e6x"],
    "CONSUMER_MAX_SPAN_PER_PARTITION": ["0"],
    "CONSUMER_SNAPSHOT_INTERVAL_MS": ["9", "60001"],
    "CONSUMER_STATUS_INTERVAL_SECONDS": ["0", "61"],
    "CONSUMER_MAX_RECORD_BYTES": ["0", "100000001"],
    "CONSUMER_DEAD_LETTER_PATIENCE_SECONDS": ["-1", "31536001"],
    "CONSUMER_DEAD_LETTER_LIMIT_RATIO": ["0", "1.1", "nan"],
    "CONSUMER_DEAD_LETTER_LIMIT_RUN": ["-1", "10000001", "1.5"],
    "CONSUMER_REDIS_MEMORY_LIMIT_RATIO": ["0", "1.01", "nan"],
    "CONSUMER_REDELIVER_AFTER_SECONDS": ["4.9", "inf", "nan"],
    "CONSUMER_MAX_COUNTDOWN_SECONDS": ["-1", "2592001"],
    "CONSUMER_MAX_DELIVERIES": ["0", "101"],
    "CONSUMER_DEAD_LETTER_SUFFIX": [" dlq", "/dlq", "d" * 51],
    "CONSUMER_TOPIC_PARTITIONS": ["0", "10001"],
    "CONSUMER_TOPIC_REPLICATION_FACTOR": ["-2", "32768"],
    "CONSUMER_MAX_BACKOFF_SECONDS": ["0", "301"],
    "CONSUMER_HTTP_PORT": ["-1", "65536", "http"],
    "WORKER_TASK_TIME_LIMIT_SECONDS": ["0", "86401", "1.5"],
    "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": ["0", "301"],
    "WORKER_LEASE_MARGIN_SECONDS": ["4", "3601"],
    "WORKER_MAX_CLAIMS": ["0", "101"],
    "WORKER_REDIS_WAIT_SECONDS": ["-1", "301"],
    "WORKER_PREFETCH_MULTIPLIER": ["0", "1001"],
    "WORKER_STATUS_INTERVAL_SECONDS": ["0", "86401"],
}
#: Settings of which any text can be right; what they name is looked up where it is used.
ANY_TEXT = {
    "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION", "KAFKA_SSL_KEY_PASSWORD",
    "CELERY_RESULT_BACKEND", "FERRY_KEY_PREFIX", "FERRY_ROUTES", "FERRY_LOG_CONFIG", "FERRY_IMPORTS",
    "CONSUMER_INSTANCE_ID", "CONSUMER_HTTP_HOST",
}  # fmt: skip


def variables(section: type[Settings]) -> set[str]:
    """The environment variables of a section."""
    return {name.upper() for name in section.model_fields}


def section_of(variable: str) -> type[Settings]:
    """The first section that has a variable."""
    return next(section for section in SECTIONS if variable in variables(section))


@pytest.mark.parametrize("section", SECTIONS)
def test_everything_has_a_default(section: type[Settings]) -> None:
    """With no variable and no `.env` every section loads."""
    load(section)


def test_the_defaults_reach_a_local_system() -> None:
    """Without a setting Ferry talks to Kafka and Redis on this machine, in plain text."""
    settings = load(ConsumerSettings)

    assert settings.client_properties() == {"bootstrap.servers": "localhost:9092", "security.protocol": "plaintext"}
    assert settings.ledger_url == "redis://localhost:6379/0"
    assert (settings.ferry_topic, settings.consumer_group) == ("messages", "ferry")


def test_every_setting_is_in_one_of_the_tables_of_this_test() -> None:
    """A new setting needs a wrong value here, or a place among those that take any text."""
    every = set().union(*map(variables, SECTIONS))

    assert every == WRONG.keys() | ANY_TEXT
    assert not WRONG.keys() & ANY_TEXT


@pytest.mark.parametrize(("variable", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_told_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """A wrong value is refused in a line that names its variable."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=rf"^Ferry's settings need a change:\n  {variable}: \S[^\n]*$"):
        load(section_of(variable))


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several wrong variables are one error with a line for each."""
    monkeypatch.setenv("PRODUCER_ACKS", "some")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")

    with pytest.raises(ConfigurationError) as caught:
        load(ProducerSettings)
    assert {line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]} == {"PRODUCER_ACKS", "LOG_LEVEL"}


@pytest.mark.parametrize("variable", sorted(WRONG.keys() | ANY_TEXT))
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Compose and Kubernetes pass empty variables on: they mean the default."""
    section = section_of(variable)
    default = getattr(load(section), variable.lower())
    monkeypatch.setenv(variable, "")

    assert getattr(load(section), variable.lower()) == default


def test_a_variable_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`.env` in the working directory is read; what is in the environment comes first, unknown lines are left alone."""
    (tmp_path / ".env").write_text("CONSUMER_GROUP=from-file\nFERRY_TOPIC=from-file\nSOMEBODY_ELSES=1\n")
    monkeypatch.setenv("FERRY_TOPIC", "from-environment")

    settings = load(RoutingSettings)

    assert (settings.consumer_group, settings.ferry_topic) == ("from-file", "from-environment")


def test_an_empty_line_of_the_file_counts_as_not_set(tmp_path: Path) -> None:
    """`PRODUCER_ACKS=` in `.env` means the default."""
    (tmp_path / ".env").write_text("PRODUCER_ACKS=\nPRODUCER_RETRIES=\n")

    assert load(ProducerSettings).producer_acks == "all"


def test_json_in_the_file_needs_no_quotes(tmp_path: Path) -> None:
    """KAFKA_CLIENT_PROPERTIES can be written into `.env` as it is, or quoted."""
    for line in ('{"socket.timeout.ms": 10000}', "'{\"socket.timeout.ms\": 10000}'"):
        (tmp_path / ".env").write_text(f"KAFKA_CLIENT_PROPERTIES={line}\n")

        assert load(KafkaSettings).kafka_client_properties == {"socket.timeout.ms": 10000}


def test_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`FERRY_ENV_FILE` names the file that is read instead of `.env`."""
    (tmp_path / ".env").write_text("CONSUMER_GROUP=wrong\n")
    (tmp_path / "other").write_text("CONSUMER_GROUP=right\n")
    monkeypatch.setenv("FERRY_ENV_FILE", str(tmp_path / "other"))

    assert load(RoutingSettings).consumer_group == "right"


def test_an_empty_name_of_another_file_means_dot_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty FERRY_ENV_FILE counts as not set."""
    (tmp_path / ".env").write_text("CONSUMER_GROUP=from-file\n")
    monkeypatch.setenv("FERRY_ENV_FILE", "")

    assert load(RoutingSettings).consumer_group == "from-file"


@pytest.mark.parametrize("name", ["missing", "."])
def test_another_file_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """A FERRY_ENV_FILE that isn't a file is an error, not a silent default."""
    monkeypatch.setenv("FERRY_ENV_FILE", str(tmp_path / name))

    with pytest.raises(ConfigurationError, match="FERRY_ENV_FILE: expected the path of a file"):
        load(RoutingSettings)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """A file in another encoding is told by its name, without its content."""
    (tmp_path / ".env").write_bytes(b"KAFKA_SASL_PASSWORD=hunter2-\xff\n")

    with pytest.raises(ConfigurationError, match=r"\.env: expected a text file in UTF-8") as caught:
        load(KafkaSettings)
    assert_nowhere("hunter2", caught.value)


def test_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file without permission is told by its name."""
    (tmp_path / ".env").write_text("")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pydantic_settings.sources.providers.dotenv.dotenv_values", refuse)
    with pytest.raises(ConfigurationError, match=r"\.env: expected a file that can be read: Permission denied"):
        load(KafkaSettings)


def assert_nowhere(secret: str, error: BaseException) -> None:
    """`secret` is neither in the error nor in what it came from, also not where pydantic keeps its input."""
    chain: list[BaseException] = [error]
    for link in chain:
        chain += [other for other in (link.__cause__, link.__context__) if other is not None and other not in chain]
    for link in chain:
        details: object = getattr(link, "errors", list)()
        shown = [str(link), repr(link), repr(link.args), repr(details), repr(vars(link))]
        assert not [text for text in shown if secret in text]
    assert len(chain) == 1, "nothing is chained: a traceback would show it"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CELERY_BROKER_URL", f"amqp://user:{SECRET}@host"),
        ("CELERY_BROKER_URL", f"redis://user:[{SECRET}]@host/0"),
        ("CELERY_BROKER_URL", f"redis://user:\u2100{SECRET}@host/0"),
        ("CELERY_BROKER_URL", f"redis://user:{SECRET}/x@host/0"),
        ("CELERY_BROKER_URL", f"redis://user:{SECRET}#x@host/0"),
        ("FERRY_LEDGER_URL", f"redis://:{SECRET}@elsewhere/0"),
        ("KAFKA_CLIENT_PROPERTIES", f'{{"sasl.password": "{SECRET}"'),
        ("KAFKA_CLIENT_PROPERTIES", f'{{"sasl.password": ["{SECRET}"]}}'),
        ("KAFKA_CLIENT_PROPERTIES", f'{{"sasl.password": "{SECRET}", "group.protocol": "{SECRET}"}}'),
        ("LOG_LEVEL", SECRET),
        ("FERRY_TOPIC", f"{SECRET}!"),
        ("CONSUMER_HTTP_PORT", SECRET),
        ("CONSUMER_DEAD_LETTER_SUFFIX", f"{SECRET}!"),
    ],
)
def test_no_value_is_ever_shown(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """An error shows no value, wherever one looks: the wrong variable may hold a password."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)

    with pytest.raises(ConfigurationError) as caught:
        load(ConsumerSettings)
    assert_nowhere(SECRET, caught.value)
    assert variable in str(caught.value)


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither str nor repr of a section shows what may be secret."""
    for variable in ("KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PASSWORD"):
        monkeypatch.setenv(variable, SECRET)
    for variable in ("CELERY_BROKER_URL", "FERRY_LEDGER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(variable, f"redis://:{SECRET}@host/0")
    monkeypatch.setenv("KAFKA_CLIENT_PROPERTIES", f'{{"sasl.password": "{SECRET}"}}')
    settings = load(ConsumerSettings)

    assert SECRET not in f"{settings} {settings!r}"
    assert SECRET in settings.ledger_url
    assert settings.client_properties()["sasl.password"] == SECRET


def test_named_security_settings_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each named setting is the librdkafka property of the same meaning; an own property wins."""
    given = {
        "KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2", "KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "me", "KAFKA_SASL_PASSWORD": "p", "KAFKA_SSL_CA_LOCATION": "ca.pem",
        "KAFKA_SSL_CERTIFICATE_LOCATION": "cert.pem", "KAFKA_SSL_KEY_LOCATION": "key.pem",
        "KAFKA_SSL_KEY_PASSWORD": "k",
        "KAFKA_CLIENT_PROPERTIES": '{"sasl.mechanism": "SCRAM-SHA-512", "socket.keepalive.enable": true, "x": 1.5}',
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    assert load(KafkaSettings).client_properties() == {
        "bootstrap.servers": "a:1,b:2", "security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me", "sasl.password": "p", "ssl.ca.location": "ca.pem",
        "ssl.certificate.location": "cert.pem", "ssl.key.location": "key.pem", "ssl.key.password": "k",
        "socket.keepalive.enable": True, "x": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "partition.assignment.strategy",
        "group.protocol", "enable.partition.eof", "group.remote.assignor",
    ],
)  # fmt: skip
def test_what_the_promises_rest_on_cannot_be_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A property that would break a promise is refused by name."""
    monkeypatch.setenv("KAFKA_CLIENT_PROPERTIES", f'{{"{name}": "x"}}')

    with pytest.raises(ConfigurationError, match=f"KAFKA_CLIENT_PROPERTIES: {name} can't be set here"):
        load(KafkaSettings)


def test_the_isolation_level_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """`isolation.level` breaks no promise."""
    monkeypatch.setenv("KAFKA_CLIENT_PROPERTIES", '{"isolation.level": "read_uncommitted"}')

    assert load(KafkaSettings).kafka_client_properties == {"isolation.level": "read_uncommitted"}


def test_the_ledger_can_be_named_as_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """FERRY_LEDGER_URL may say what CELERY_BROKER_URL says."""
    for variable in ("CELERY_BROKER_URL", "FERRY_LEDGER_URL"):
        monkeypatch.setenv(variable, "rediss://user:p%2Fw@host:6380/2?ssl_cert_reqs=none")

    assert load(RedisSettings).ledger_url == "rediss://user:p%2Fw@host:6380/2?ssl_cert_reqs=none"


@pytest.mark.parametrize(
    "url", ["redis://", "redis://host", "redis://host/", "redis://[::1]:6379/15", "valkey://host/0"]
)
def test_usual_forms_of_a_redis_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What Celery and redis-py take for a Redis is taken."""
    monkeypatch.setenv("CELERY_BROKER_URL", url)

    assert load(RedisSettings).ledger_url == url


@pytest.mark.parametrize("hard_limit", ["1", "300", "86400"])
def test_times_that_belong_together(monkeypatch: pytest.MonkeyPatch, hard_limit: str) -> None:
    """With any hard limit: the soft one comes before it, a lease outlives it, the visibility timeout the lease."""
    monkeypatch.setenv("WORKER_TASK_TIME_LIMIT_SECONDS", hard_limit)
    settings = load(WorkerSettings)

    assert 0 < settings.soft_time_limit_seconds < settings.worker_task_time_limit_seconds
    assert settings.worker_task_time_limit_seconds * 1000 < settings.lease_ms
    assert settings.lease_ms < settings.visibility_timeout_seconds * 1000


def test_nothing_is_read_at_import(tmp_path: Path) -> None:
    """Every module can be imported where the settings are wrong; only `load` reads them."""
    (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\n")
    code = (
        "import os, ferry_shared.settings as settings, ferry_shared.logs, ferry_shared.routes, ferry_shared.message\n"
        "os.environ.update(CONSUMER_GROUP='after the import', FERRY_ENV_FILE='', LOG_LEVEL='DEBUG')\n"
        "print(settings.load(settings.WorkerSettings).consumer_group)"
    )
    environment = {"LOG_LEVEL": "LOUD", "FERRY_ENV_FILE": "/nowhere", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )

    assert (done.stdout, done.stderr) == ("after the import\n", "")


def test_what_is_wrong_is_found_and_the_rest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wrong variable is named, without a value; in its place stands the default, and the right ones hold."""
    monkeypatch.setenv("CONSUMER_GROUP", "billing")
    monkeypatch.setenv("CONSUMER_HTTP_PORT", SECRET)
    monkeypatch.setenv("CONSUMER_INTAKE_MAX_MESSAGES", "0")
    found = examine(ConsumerSettings)
    assert found.settings is not None
    assert (found.settings.consumer_group, found.settings.consumer_http_port) == ("billing", 8080)
    assert found.wrong == {"consumer_http_port", "consumer_intake_max_messages"}
    assert sorted(line.partition(":")[0] for line in found.problems) == [
        "CONSUMER_HTTP_PORT",
        "CONSUMER_INTAKE_MAX_MESSAGES",
    ]
    assert SECRET not in str(found.problems)


def test_a_problem_of_two_settings_together_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No default can stand in: which of the two is wrong isn't known. It may come out behind another one."""
    monkeypatch.setenv("FERRY_LEDGER_URL", "redis://elsewhere/0")
    monkeypatch.setenv("CONSUMER_HTTP_PORT", "http")
    found = examine(ConsumerSettings)
    assert found.settings is None
    assert [line.partition(":")[0] for line in found.problems] == ["CONSUMER_HTTP_PORT", "FERRY_LEDGER_URL"]


def test_a_right_section_has_no_problems() -> None:
    """Not even a warning."""
    assert examine(WorkerSettings) == Examined(WorkerSettings())


def test_a_file_that_is_not_there_is_a_problem_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by FERRY_ENV_FILE."""
    monkeypatch.setenv("FERRY_ENV_FILE", "nowhere.env")
    assert examine(ConsumerSettings) == Examined(None, ("FERRY_ENV_FILE: expected the path of a file",))
    assert "FERRY_ENV_FILE" in names_given()


def test_names_are_given_by_the_environment_and_by_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their values are nobody's business."""
    monkeypatch.setenv("CONSUMER_GRUOP", "x")
    (tmp_path / ".env").write_text("consumer_instance=y\n")
    assert {"CONSUMER_GRUOP", "CONSUMER_INSTANCE"} <= names_given()
