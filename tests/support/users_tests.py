"""A user's own tests, run by pytest in a process of its own, with Ferry's fixtures."""

import subprocess
import sys
from pathlib import Path

from tests.support.clean_environment import clean_environment

#: Nothing but pytest and Ferry's plugin, as it is loaded where Ferry is installed.
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "ferry_console.pytest_plugin")


def run_tests(folder: Path, tests: str, conftest: str = "") -> str:
    """Run `tests` in an empty folder; returns what pytest said."""
    (folder / "test_users_own.py").write_text(tests, encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    done = subprocess.run(
        [*PYTEST, str(folder)],
        cwd=folder,
        env=clean_environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr
