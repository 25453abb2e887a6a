"""Where the local system's processes are led to."""

from pathlib import Path

import pytest

from ferry_console.local.running import Running
from ferry_console.local.start import PlannedSettings
from ferry_console.local.system import local_environment
from ferry_shared.settings import ConsumerSettings, load

RUNNING = Running(1, "up", 1234, 2345, 3456, "messages", "messages.dlq", "ferry")
REAL = {
    "FERRY_TOPIC": "orders",
    "KAFKA_BOOTSTRAP_SERVERS": "real:9092",
    "KAFKA_SECURITY_PROTOCOL": "ssl",
    "KAFKA_CLIENT_PROPERTIES": '{"bootstrap.servers": "real:9092"}',
    "CELERY_BROKER_URL": "redis://real/0",
    "CELERY_RESULT_BACKEND": "redis://real/1",
    "FERRY_LEDGER_URL": "redis://real/0",
    "CONSUMER_HTTP_HOST": "0.0.0.0",  # noqa: S104 - what must not be listened on
}


@pytest.mark.parametrize("source", ["environment", ".env"])
def test_a_real_cluster_is_never_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str) -> None:
    """Settings for other servers lead to the local ones, wherever they come from; the rest stays."""
    if source == ".env":
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in REAL.items()))
    led = local_environment(REAL if source == "environment" else {}, RUNNING, results=True)
    for name, value in led.items():
        monkeypatch.setenv(name, value)
    settings = load(ConsumerSettings)
    assert settings.client_properties() == {"bootstrap.servers": "127.0.0.1:1234", "security.protocol": "plaintext"}
    assert settings.ledger_url == "redis://127.0.0.1:2345/0"
    assert settings.celery_broker_url.get_secret_value() == "redis://127.0.0.1:2345/0"
    assert settings.celery_result_backend.get_secret_value() == "redis://127.0.0.1:2345/1"
    assert (settings.consumer_http_host, settings.consumer_http_port) == ("127.0.0.1", 3456)
    assert settings.ferry_topic == "orders"


def test_without_a_result_backend_there_is_none() -> None:
    """Results are kept only when the settings want them."""
    assert "CELERY_RESULT_BACKEND" not in local_environment({"CELERY_RESULT_BACKEND": "redis://real/1"}, RUNNING)


def test_the_plan_agrees_with_the_consumer() -> None:
    """The names that the plan takes by default are those of the consumer."""
    planned, consumer = PlannedSettings.model_construct(), load(ConsumerSettings)
    assert planned.ferry_topic == consumer.ferry_topic
    assert planned.consumer_group == consumer.consumer_group
    assert planned.consumer_dead_letter_suffix == consumer.consumer_dead_letter_suffix
