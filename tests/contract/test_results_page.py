"""The code of docs/results.md, run: a message's value, read by its id, and the two workflows."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results.md"
PYTHON_FILE = re.compile(r"^```python\n(?P<text># (?P<path>[\w/]+\.py)\n.*?)^```$", re.MULTILINE | re.DOTALL)
TRIAL = """
import shop.tasks, read_result
from ferry_shared.ledger.client import connect
from ferry_worker.celery import app
from tests.integration.worker_harness import Partition
from tests.support.pool_process import PoolProcess

url = app.conf.broker_url
process = PoolProcess(app, url)
for task in ("handleOrder", "totalOfOrder"):
    topic = Partition(connect(url), task, topic=task)
    topic.acquire()
    topic.dispatch(b'{"prices": [100, 200]}')
    assert read_result.state_of(f"{task}-0-0") == "PENDING"
    process.run_all()
    assert (topic.entries, read_result.state_of(f"{task}-0-0")) == ([], "SUCCESS")
total = read_result.value_of(read_result.value_of("handleOrder-0-0"))
print(total, read_result.value_of("totalOfOrder-0-0"))
"""


def test_the_pages_code_does_what_the_page_says(redis_url: str, tmp_path: Path) -> None:
    """The id of a workflow as value, or its total in its place."""
    text = PAGE.read_text(encoding="utf-8").replace("redis://localhost:6379/1", redis_url)
    found = list(PYTHON_FILE.finditer(text))
    assert [file["path"] for file in found] == ["read_result.py", "shop/tasks.py"]
    for file in found:
        path = tmp_path / file["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(file["text"], encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), *sys.path]),
        "CELERY_BROKER_URL": redis_url,
        "CELERY_RESULT_BACKEND": redis_url,
    }
    done = subprocess.run(
        [sys.executable, "-c", TRIAL], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "357 357\n"
