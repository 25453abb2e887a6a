"""Ferry's fixtures for pytest, on a real Kafka and a real Valkey; among them the test of docs/test_your_task.md."""

import re
from pathlib import Path

import psutil
import pytest

from tests.support.users_tests import run_tests

PAGE = Path(__file__).parents[2] / "docs" / "test_your_task.md"
ON_THE_PAGE = re.compile(r"```python\n(import os\n.*?)```", re.DOTALL)

TESTS = """
import pathlib
import redis
from confluent_kafka.admin import AdminClient

def test_kafka_has_it(ferry_kafka):
    assert "orders" in AdminClient({"bootstrap.servers": ferry_kafka.bootstrap_servers}).list_topics(timeout=10).topics
    pathlib.Path("pid").write_text(str(ferry_kafka.process.pid))

def test_the_settings_lead_to_the_tests_own(ferry_settings, ferry_kafka, ferry_redis):
    assert ferry_settings["KAFKA_BOOTSTRAP_SERVERS"] == ferry_kafka.bootstrap_servers
    assert ferry_settings["CELERY_BROKER_URL"] == ferry_redis
    assert redis.Redis.from_url(ferry_redis).ping()
"""


@pytest.mark.usefixtures("kafka_jars")
def test_a_users_tests_have_both_servers(tmp_path: Path) -> None:
    """Started when they are asked for, gone when the tests are."""
    (on_the_page,) = ON_THE_PAGE.findall(PAGE.read_text(encoding="utf-8"))
    assert "3 passed" in run_tests(tmp_path, on_the_page + TESTS)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
