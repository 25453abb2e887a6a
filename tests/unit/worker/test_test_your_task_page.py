"""docs/test_your_task.md and docs/batches.md, done word by word: their tests pass, and each can fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clean_environment import clean_environment

PAGE = Path(__file__).parents[3] / "docs" / "test_your_task.md"
BATCHES = PAGE.with_name("batches.md")
FILE = re.compile(r"```python\n(# (\S+\.py)\n.*?)```", re.DOTALL)


def run_page(folder: Path, before: str = "", after: str = "", page: Path = PAGE) -> str:
    """Write the page's files, one text replaced by another, and run its tests; returns pytest's last line."""
    for text, name in FILE.findall(page.read_text(encoding="utf-8").replace(before or "\0", after)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_pages_tests_pass(tmp_path: Path) -> None:
    """All five."""
    assert run_page(tmp_path).startswith("5 passed")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('return "handled"', "return None"),
        ("send_mail.delay(order.number)", "pass"),
        ("countdown=60", "countdown=61"),
        ('ValueError("no such', 'LookupError("no such'),
    ],
)
def test_they_fail_when_the_task_does_something_else(tmp_path: Path, before: str, after: str) -> None:
    """One test each."""
    assert before in PAGE.read_text(encoding="utf-8")
    assert run_page(tmp_path, before, after).startswith("1 failed, 4 passed")


def test_they_fail_when_the_model_takes_what_it_should_not(tmp_path: Path) -> None:
    """The two that send an order without a number."""
    before, after = "    number: int\n    note", "    number: int = 1\n    note"
    assert run_page(tmp_path, before, after).startswith("2 failed, 3 passed")


def test_the_list_of_the_page_about_batches(tmp_path: Path) -> None:
    """Inserted at once, but for the wrong one."""
    assert run_page(tmp_path, page=BATCHES).startswith("1 passed")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return FailedMessages(failed)", "return FailedMessages({})"),
        ("count.number < 0", "count.number < 3"),
        ("if index not in failed", "if index in failed"),
        ("takes_list=True,", "takes_list=False,"),
        ('"nut", "number": 2}', '"nut", "number": -2}'),
    ],
)
def test_it_fails_when_its_task_does_something_else(tmp_path: Path, before: str, after: str) -> None:
    """Whatever is broken."""
    assert before in BATCHES.read_text(encoding="utf-8")
    assert run_page(tmp_path, before, after, BATCHES).startswith("1 failed")
