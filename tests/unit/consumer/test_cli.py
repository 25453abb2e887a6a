"""The consumer's command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from ferry_consumer import cli
from tests.support.clean_environment import clean_environment

#: In a process of its own: it sets up logging and signal handlers.
BROKEN = """
import sys
from ferry_consumer import cli, service

class BrokenConsumer:
    def __init__(self, *_): pass
    def stop(self): pass
    def run(self): raise ZeroDivisionError("nobody thought of this")

service.Consumer = BrokenConsumer
sys.exit(cli.main(["run"]))
"""


def test_what_nobody_thought_of_stops_it_loudly() -> None:
    """Exit code 1, a sentence and the traceback."""
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "stopped by something unexpected" in done.stdout
    assert "ZeroDivisionError: nobody thought of this" in done.stdout


#: Tells what its heap is when it runs.
LOOKING_CONSUMER = BROKEN.replace(
    'raise ZeroDivisionError("nobody thought of this")', "import gc; print('left out', gc.get_freeze_count() > 10_000)"
)


def test_the_collector_leaves_out_what_was_loaded() -> None:
    """Else it would hold up messages to look through all modules."""
    done = subprocess.run(
        [sys.executable, "-c", LOOKING_CONSUMER], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "left out True")


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """And exits with 0."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    assert "ferry-consumer run" in capsys.readouterr().out


def test_no_command_is_wrong_usage() -> None:
    """Exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([])
    assert stopped.value.code == 2


ROUTES = """
from ferry_shared.routes import JsonSchema, Route

routes = [Route("orders", JsonSchema("orders/order.schema.json"), "handleOrder")]
"""


def test_a_schema_file_that_is_missing_ends_the_start(tmp_path: Path) -> None:
    """Exit code 2 and one sentence, which names FERRY_ROUTES and the file; nobody is asked for a server before."""
    (tmp_path / "my_routes.py").write_text(ROUTES)
    done = subprocess.run(
        [sys.executable, "-m", "ferry_consumer", "run"],
        cwd=tmp_path,
        env=clean_environment() | {"FERRY_ROUTES": "my_routes:routes"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "FERRY_ROUTES: the message type of the route for orders can't be used: "
        f"{tmp_path}/orders/order.schema.json: expected a JSON Schema file: No such file or directory\n"
    )
