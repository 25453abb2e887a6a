"""The command line of the chaos runs."""

from importlib import import_module
from pathlib import Path

import pytest

from ferry_shared.settings import ConsumerSettings
from tests.chaos import command
from tests.chaos.command import EXIT_PASSED, EXIT_USAGE, main
from tests.chaos.display import Display
from tests.chaos.limits import Limits
from tests.chaos.record import PAGE_FILE
from tests.chaos.run import Task
from tests.unit.chaos.test_verdict import good_story, verdict


@pytest.mark.parametrize("name", ["mixture", "soak"])
@pytest.mark.parametrize(("words", "size"), [((), 1), (("--batch-size", "100"), 100)])
def test_a_run_has_batches_if_it_is_told_so(
    name: str, words: tuple[str, ...], size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says how to repeat it."""
    tasks: list[Task] = []

    def run(task: Task, _: object) -> object:
        tasks.append(task)
        task.directory.mkdir()
        (task.directory / PAGE_FILE).write_text("")
        return verdict(good_story())

    monkeypatch.setattr(command, name, run)
    code = main([name, "--seed", "7", "--seconds", "120", "--rate", "50", "--out", str(tmp_path / "run"), *words])

    (task,) = tasks
    assert (code, task.batch_size) == (EXIT_PASSED, size)
    assert task.command_line == " ".join((f"python -m tests.chaos {name} --seconds 120 --rate 50 --seed 7", *words))


class BegunError(Exception):
    """The run would begin now."""


@pytest.mark.parametrize("name", ["mixture", "soak"])
def test_a_run_begins_with_its_tasks_batch_size(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limits of its system are made."""
    seen: list[Limits] = []

    def carry_out(_task: Task, limits: Limits, *_rest: object) -> None:
        seen.append(limits)
        raise BegunError

    module = import_module(f"tests.chaos.{name}")
    monkeypatch.setattr(module, "carry_out", carry_out)
    with pytest.raises(BegunError), Display() as display:
        getattr(module, name)(Task(name, 7, 120.0, 50, tmp_path, 30), display)

    assert seen == [Limits(batch_size=30)]


@pytest.mark.parametrize("size", ["0", "-1", "1001", "1e2", "", "\u0661"])
def test_a_batch_size_that_consumers_would_refuse_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what is expected."""
    with pytest.raises(SystemExit) as end:
        main(["mixture", "--batch-size", size])

    assert end.value.code == EXIT_USAGE
    assert "expected a number from 1 to 1000" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 2, command.MOST_BATCHED])
def test_the_consumers_get_the_batch_size(size: int) -> None:
    """By the setting that they read; the largest one is theirs, too."""
    settings = Limits(batch_size=size).settings()

    read = ConsumerSettings.model_validate({"consumer_batch_size": settings["CONSUMER_BATCH_SIZE"]})
    assert read.consumer_batch_size == size
    limit = ConsumerSettings.model_json_schema()["properties"]["consumer_batch_size"]["maximum"]
    assert limit == command.MOST_BATCHED
