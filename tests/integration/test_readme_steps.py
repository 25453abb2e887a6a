"""README.md, "Your own message and task": its three steps, done word by word in an empty folder."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ferry_processes import FerryProcesses

README = Path(__file__).parents[2] / "README.md"
START_SECONDS = 90.0


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[FerryProcesses]:
    """Runs commands in an empty folder, with no setting at all."""
    processes = FerryProcesses(tmp_path, {})
    try:
        yield processes
    finally:
        processes.stop_all()


def section() -> str:
    """The part of the README."""
    text = README.read_text(encoding="utf-8")
    return text.partition("\n## Your own message and task\n")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    """Its code blocks."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", section(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


@pytest.mark.usefixtures("kafka_jars")
def test_the_three_steps(newcomer: FerryProcesses) -> None:
    """Two files, one command, one message: its line is in the log."""
    for text in blocks("python"):
        path = newcomer.directory / text.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert sorted(path.name for path in (newcomer.directory / "orders").iterdir()) == ["routes.py", "tasks.py"]

    start, send = blocks("sh")
    exported, command = start.splitlines()
    settings = dict(word.split("=", 1) for word in shlex.split(exported.removeprefix("export ")))
    assert settings.keys() == {"FERRY_ROUTES", "FERRY_IMPORTS"}
    assert command == "ferry up"
    system = newcomer.start("up", "-m", "ferry_console", "up", settings=settings)
    system.wait_for_text(r"topic orders, group ferry", START_SECONDS)

    (kafka,) = re.findall(r"KAFKA_BOOTSTRAP_SERVERS=\S+", system.output())[:1] or [""]
    setting, program, message = shlex.split(send)
    assert program == "ferry-producer"
    own = dict(word.split("=", 1) for word in (setting, kafka) if word)
    sent = newcomer.run("-m", "ferry_producer", message, settings=own)
    assert sent.returncode == 0, sent.stderr
    (told,) = re.findall(r"`worker   \| … \[orders-\d-0\] (.*)`", section())
    system.wait_for_text(rf"worker +\| .*\[orders-\d-0\] {told}", 60.0)
