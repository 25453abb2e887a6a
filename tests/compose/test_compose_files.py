"""What the container files say, compared with what they must agree with. Needs no Docker."""

from __future__ import annotations

import re

import pytest

from ferry_shared.settings import ConsumerSettings, ProducerSettings, WorkerSettings
from tests.compose.system import PROJECT_DIRECTORY, STAND_INS, public_images

COMPOSE = (PROJECT_DIRECTORY / "docker-compose.yml").read_text()

#: Settings that the compose file does not take from outside, because it brings its own Kafka and Valkey, unencrypted
#: inside one machine, and because paths of the host mean nothing in a container.
DECIDED_BY_THE_COMPOSE_FILE = {
    "CELERY_RESULT_BACKEND",
    "CONSUMER_INSTANCE_ID",
    "FERRY_LEDGER_URL",
    "FERRY_LOG_CONFIG",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SSL_CA_LOCATION",
    "KAFKA_SSL_CERTIFICATE_LOCATION",
    "KAFKA_SSL_KEY_LOCATION",
    "KAFKA_SSL_KEY_PASSWORD",
    "PRODUCER_INTERVAL_SECONDS",
}


@pytest.mark.parametrize("section", [ProducerSettings, ConsumerSettings, WorkerSettings])
def test_each_setting_reaches_the_containers(
    section: type[ProducerSettings | ConsumerSettings | WorkerSettings],
) -> None:
    """Each setting can be given through `.env`, apart from those that the compose file decides."""
    named = set(re.findall(r"^ +([A-Z][A-Z_]+):", COMPOSE, re.MULTILINE))

    assert {name.upper() for name in section.model_fields} - DECIDED_BY_THE_COMPOSE_FILE <= named


def test_the_stand_ins_have_the_names_of_the_public_images() -> None:
    """Each public image has a stand-in, under the very same name."""
    assert set(re.findall(r"^\w+_image=(\S+)$", STAND_INS.read_text(), re.MULTILINE)) == set(public_images())
