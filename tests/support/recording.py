"""A task that writes what it ran into a file of its own: what is done is never counted from Ferry's own numbers."""

from collections import Counter
from pathlib import Path

from tests.support.ferry_processes import FerryProcess, FerryProcesses

_TASK = '''\
import os

from ferry_shared.message import Message
from ferry_worker.celery import app


@app.task(name="record")
def record(message: Message) -> None:
    """Append the text; one write in append mode is never torn apart by another process's."""
    file = os.open(os.environ["RECORDING"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, message.text.encode() + b"\\n")
    finally:
        os.close(file)
'''

_ROUTES = """\
import os

from ferry_shared.message import Message
from ferry_shared.routes import Route

routes = [Route(topic=os.environ["FERRY_TOPIC"], message=Message, task="record")]
"""


class Recording:
    """Routes a test's topic to the recording task."""

    def __init__(self, ferry: FerryProcesses) -> None:
        """Write the user's two modules, and tell consumer and worker of them."""
        self._ferry = ferry
        self.path = ferry.directory / "recording.txt"
        (ferry.directory / "recording_task.py").write_text(_TASK)
        (ferry.directory / "recording_routes.py").write_text(_ROUTES)
        ferry.settings |= {
            "FERRY_ROUTES": "recording_routes:routes",
            "FERRY_IMPORTS": "recording_task",
            "RECORDING": str(self.path),
        }

    def worker(self) -> FerryProcess:
        """Start a worker that runs the task."""
        return self._ferry.worker("--concurrency=2", "--without-mingle", "--without-gossip")

    def runs(self) -> Counter[str]:
        """How often the task ran for each text."""
        return Counter(self.path.read_text().splitlines()) if self.path.exists() else Counter()


def long_lines(path: Path) -> list[str]:
    """The lines of a file that are messages: all but the empty ones."""
    return [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
