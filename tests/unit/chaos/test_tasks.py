"""What the task of the chaos runs writes, and what is counted from it while a run lasts."""

from pathlib import Path
from typing import Any

import pytest

from ferry_worker.testing import Done, Failed, Retried, run_messages
from tests.chaos.evidence_files import read_executions
from tests.chaos.messages import Behaviour, payload
from tests.chaos.observation import PUSHES_FILE, Progress
from tests.chaos.routes import TOPIC, routes
from tests.chaos.tags import Tag
from tests.chaos.tasks import DIRECTORY_VARIABLE, EXECUTIONS_FILE, _file


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file is opened once for each process."""
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    _file.cache_clear()
    yield
    _file.cache_clear()


def run(*behaviours: Behaviour) -> list[type]:
    """What becomes of such messages, which come at once."""
    outcomes = run_messages(routes, TOPIC, [payload(serial, what) for serial, what in enumerate(behaviours)])
    return [type(outcome) for outcome in outcomes]


def test_messages_of_a_batch_write_their_own_ids_and_the_batchs_tag(tmp_path: Path) -> None:
    """Each with its serial and its end; the tag holds them all."""
    kinds = run(Behaviour.ORDINARY, Behaviour.RAISES, Behaviour.RETRIES)
    runs = read_executions((tmp_path / EXECUTIONS_FILE).read_text().splitlines())

    assert kinds == [Done, Failed, Retried]
    assert [(run.task_id, run.serial, run.how) for run in runs] == [
        (f"{TOPIC}-0-0", 0, "done"),
        (f"{TOPIC}-0-1", 1, "raised"),
        (f"{TOPIC}-0-2", 2, "asked"),
    ]
    assert [Tag.of(run.tag).task_ids for run in runs] == [tuple(run.task_id for run in runs)] * 3


def test_a_message_by_itself_writes_its_own_tag(tmp_path: Path) -> None:
    """Its task is its id."""
    run(Behaviour.ORDINARY)
    (alone,) = read_executions((tmp_path / EXECUTIONS_FILE).read_text().splitlines())

    assert Tag.of(alone.tag).task == alone.task_id == f"{TOPIC}-0-0"


def test_what_is_in_flight_is_counted_in_messages(tmp_path: Path) -> None:
    """A batch's are as many as it has; one that has ended is not in flight again when it is queued once more."""
    pushes, executions = tmp_path / PUSHES_FILE, tmp_path / EXECUTIONS_FILE
    pushes.write_text("pushed\t1.0\tdispatch\tt-0-1,t-0-2,t-0-3\tl/t-0-1-3-3/1.1.1\n")
    executions.write_text("")
    progress = Progress(tmp_path)
    assert progress.in_flight() == 3

    with executions.open("a") as file:
        file.write("started\t1\tt-0-2\ttag\t7\t10\t9\ndone\t2\tt-0-2\ttag\t7\t10\t9\n")
    with pushes.open("a") as file:
        file.write("pushed\t3.0\tsplit\tt-0-2\tl/t-0-2/1.2.1\n")
    assert (progress.in_flight(), progress.ended) == (2, 1)
