"""Ferry's fixtures for pytest, on a real Valkey."""

from pathlib import Path

import psutil
import pytest

from tests.support.users_tests import run_tests

#: Without a Valkey there is nothing to test.
pytestmark = pytest.mark.usefixtures("valkey")

TESTS = """
import os
import pathlib
import redis

seen = []

def use(ferry_redis):
    client = redis.Redis.from_url(ferry_redis)
    assert client.dbsize() == 0
    client.set("key", "value")
    seen.append(ferry_redis)

def test_one(ferry_redis): use(ferry_redis)
def test_another(ferry_redis): use(ferry_redis)
def test_each_has_a_database_of_one_server(ferry_valkey):
    assert len(set(seen)) == 2
    assert {url.rpartition("/")[0] for url in seen} == {ferry_valkey.url.rpartition("/")[0]}
    pathlib.Path("pid").write_text(str(ferry_valkey.process.pid))
"""
AGAIN = """
import itertools
import pytest
import redis

@pytest.fixture(scope="session")
def _ferry_databases():
    return itertools.repeat(3)

@pytest.mark.parametrize("time", [1, 2])
def test_a_database_that_is_taken_again_is_empty(ferry_redis, time):
    client = redis.Redis.from_url(ferry_redis)
    assert (ferry_redis[-2:], client.dbsize()) == ("/3", 0)
    client.set("key", "value")
"""


def test_each_test_has_an_empty_database(tmp_path: Path) -> None:
    """Of one server, which is gone when the tests are."""
    assert "3 passed" in run_tests(tmp_path, TESTS)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_after_the_last_database_the_first_is_emptied(tmp_path: Path) -> None:
    """There can be more tests than databases."""
    assert "2 passed" in run_tests(tmp_path, AGAIN)
