"""The examples' own tests pass, run as their README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clean_environment import clean_environment

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "django_app": ("-W", "error", "examples/django_app/manage.py", "test", "stock"),
    "flask_app": ("-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/flask_app"),
    "orders": ("-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/orders"),
}


def test_every_example_is_tested() -> None:
    """The check below knows them all."""
    assert [path.name for path in sorted((ROOT / "examples").iterdir())] == list(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_examples_tests_pass(example: str, tmp_path: Path) -> None:
    """In a process of their own: their tasks are known to every Celery app of the process that imports them."""
    done = subprocess.run(
        [sys.executable, *EXAMPLES[example]],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert re.search(r"^([0-9]+ passed in .*|Ran [0-9]+ tests? in .*\n\nOK)$", told, re.MULTILINE), told
