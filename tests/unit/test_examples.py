"""The examples' own tests pass, run as their README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clean_environment import clean_environment

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").iterdir() if list(path.glob("test_*.py")))


def test_there_are_examples() -> None:
    """The check below looks at something."""
    assert EXAMPLES == ["orders"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_examples_tests_pass(example: str) -> None:
    """In a process of their own: their tasks are known to every Celery app of the process that imports them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"examples/{example}"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert re.fullmatch(r"[0-9]+ passed in .*", done.stdout.splitlines()[-1]), done.stdout + done.stderr
