"""docs/own_task.md, done word by word: its code, its settings, its commands."""

import re
from pathlib import Path

from tests.support.ferry_processes import FerryProcesses

PAGE = Path(__file__).parents[2] / "docs" / "own_task.md"

#: What beat and worker know of the page's own entry.
SCHEDULED = """
from ferry_worker.celery import app

app.loader.import_default_modules()
task = app.conf.beat_schedule["close the day"]["task"]
print(task, task in app.tasks)
"""


def blocks(language: str) -> list[str]:
    """Return the page's code blocks."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_is_true(ferry: FerryProcesses) -> None:
    """Its modules, settings and commands bring a record of the topic to the function."""
    modules = {
        match[1]: block for block in blocks("python") if (match := re.match(r"# (orders/\w+\.py)\n", block)) is not None
    }
    assert sorted(modules) == ["orders/routes.py", "orders/schedule.py", "orders/tasks.py"]
    for name, text in modules.items():
        path = ferry.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    commands, sending, _ = blocks("sh")
    ferry.settings |= dict(re.findall(r"^export (\w+)=(\S+)", commands, re.MULTILINE))
    assert {"FERRY_ROUTES", "FERRY_IMPORTS"} <= ferry.settings.keys()
    assert "\nferry-consumer run\ncelery -A ferry_worker worker\n" in commands
    ferry.settings["FERRY_IMPORTS"] += ",orders.schedule"
    ferry.consumer()
    worker = ferry.worker("-c", "1")
    message, arguments = re.fullmatch(r"echo '(.*)' \| ferry-producer (.*)\n", sending, re.DOTALL).groups()  # type: ignore[union-attr]  # checked by failing
    sent = ferry.produce(*arguments.split(), standard_input=message + "\n")
    assert sent.returncode == 0, sent.stderr
    assert ferry.run("-c", SCHEDULED).stdout == "closeDay True\n"
    worker.wait_for_text(r"\[orders-\d-0@.*\] order 1", 60.0)
