"""The command line: what it accepts, refuses, and how soon it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ferry_producer.arguments import Arguments
from ferry_producer.cli import main
from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


#: 79 with Python 3.11, a third of them Python's own: it takes 0.03 s. The settings alone would be 400 more.
MOST_MODULES = 110


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Arguments]:
    """The arguments with which the command would run."""
    arguments = list[Arguments]()

    def execute(given: Arguments) -> int:
        arguments.append(given)
        return 0

    monkeypatch.setattr("ferry_producer.command.execute", execute)
    return arguments


ROUTES = {"FERRY_ROUTES": "ticket_routes:routes"}
NO_DEFAULT = (
    "the default messages don't fit the topic tickets of FERRY_ROUTES: give messages as arguments, "
    "a file by --file FILE, or - for standard input"
)
NOT_GIVEN: dict[str, object] = {
    **dict.fromkeys(
        ("file", "count", "interval", "rate", "topic", "key", "key_field", "undelivered", "acks", "retries")
    ),
    **dict.fromkeys(("forever", "dry_run", "json"), False),
    "texts": [],
    "headers": [],
    "on_invalid": "skip",
}


def test_options(taken: list[Arguments]) -> None:
    """Every option reaches the command, parsed."""
    line = ["a", "b", "--forever", "--interval", "0.5", "--topic", "t", "--key", "k", "--acks", "1", "--retries", "3"]
    assert main(line) == 0
    given = {"texts": ["a", "b"], "forever": True, "interval": 0.5, "topic": "t", "key": "k"}
    assert vars(taken[0]) == NOT_GIVEN | given | {"acks": "1", "retries": 3}


def test_options_of_a_file(taken: list[Arguments]) -> None:
    """The others as well."""
    line = ["--file", "f", "--count", "5", "--rate", "0.5", "--key-field", "a.b", "--header", "a=b=c", "--header", "d="]
    assert main([*line, "--on-invalid", "stop", "--undelivered", "left", "--dry-run", "--json"]) == 0
    given = {"file": "f", "count": 5, "rate": 0.5, "key_field": "a.b", "headers": [("a", b"b=c"), ("d", b"")]}
    assert vars(taken[0]) == NOT_GIVEN | given | {
        "on_invalid": "stop", "undelivered": "left", "dry_run": True, "json": True,
    }  # fmt: skip


def test_defaults_are_left_to_the_settings(taken: list[Arguments]) -> None:
    """What isn't given is None: the environment decides."""
    assert main([]) == 0
    assert vars(taken[0]) == NOT_GIVEN


def test_a_text_may_begin_with_a_hyphen(taken: list[Arguments]) -> None:
    """`-` alone is standard input, and after `--` anything is a text."""
    assert main(["a", "-"]) == 0
    assert main(["--", "--forever"]) == 0
    assert [given.texts for given in taken] == [["a", "-"], ["--forever"]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["--interval", "1"], "--interval needs --forever"),
        (["--forever", "-"], "standard input (-) and --file can't be repeated"),
        (["--forever", "--file", "f"], "standard input (-) and --file can't be repeated"),
        (["--file", "f", "a"], "--file stands alone"),
        (["--forever", "--interval", "1", "--rate", "1"], "--interval and --rate say the same thing"),
        (["--key", "a", "--key-field", "b"], "not allowed with argument --key"),
        (["--key-field", ""], "--key-field: expected a field's name"),
        (["--count", "0"], "argument --count: expected a number from 1"),
        (["--rate", "0"], "argument --rate: expected messages a second"),
        (["--rate", "inf"], "argument --rate: expected messages a second"),
        (["--header", "a"], "argument --header: expected NAME=VALUE"),
        (["--header", "=a"], "argument --header: expected NAME=VALUE"),
        (["--header", "\udcff=a"], "argument --header: expected a name in UTF-8"),
        (["-", "-"], "standard input (-) can be read only once"),
        (["--acks", "2"], "argument --acks: invalid choice"),
        (["--retries", "-1"], "argument --retries: expected a number from 0"),
        (["--retries", "x"], "argument --retries: expected a number"),
        (["--forever", "--interval", "nan"], "argument --interval: expected seconds from 0"),
        (["--forever", "--interval", "-1"], "argument --interval: expected seconds from 0"),
        (["--for"], "unrecognized arguments: --for"),
    ],
)
def test_wrong_usage(
    line: Sequence[str], expected: str, taken: list[Arguments], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and a sentence on stderr."""
    with pytest.raises(SystemExit) as error:
        main(line)
    assert error.value.code == 2
    assert expected in capsys.readouterr().err
    assert taken == []


@pytest.mark.parametrize(
    ("line", "environment", "expected"),
    [
        (["a"], {"PRODUCER_ACKS": "some"}, "PRODUCER_ACKS"),
        (["a"], {"KAFKA_CLIENT_PROPERTIES": '{"acks": 1}'}, "use PRODUCER_ACKS"),
        (["a"], {"KAFKA_CLIENT_PROPERTIES": '{"no.such": 1}'}, 'No such configuration property: "no.such"'),
        (["a"], {"FERRY_TOPIC": "a b"}, "FERRY_TOPIC: expected a topic name"),
        (["a", "--topic", ""], {}, "topic: expected a topic name"),
        (["a", "--topic", "", "--dry-run"], {}, "topic: expected a topic name"),
        (["a", ""], {}, "argument 2: text: String should have at least 1 character"),
        (["--file", "/no/such/file"], {}, "--file: /no/such/file can't be read: No such file or directory"),
        (["a", "--undelivered", "/no/such/file"], {}, "--undelivered: /no/such/file can't be written"),
        (["a"], {"FERRY_ROUTES": "no_such_module:routes"}, "FERRY_ROUTES: can't import no_such_module"),
        ([], ROUTES, NO_DEFAULT),
        (["--topic", "tickets"], ROUTES, NO_DEFAULT),
        (["--count", "3"], ROUTES, NO_DEFAULT),
        (["--forever", "--dry-run"], ROUTES, NO_DEFAULT),
    ],
)
def test_wrong_settings(
    line: Sequence[str],
    environment: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A setting or text that is wrong is told before anything is sent: exit code 2."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "nowhere.invalid:1")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(line) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""


def test_ctrl_c_before_the_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while modules are loaded ends without a traceback."""

    def interrupted(_: Arguments) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ferry_producer.command.execute", interrupted)
    assert main([]) == 130


def test_a_configuration_error_of_the_logs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Any configuration error ends in exit code 2."""

    def refuse(*_: object) -> None:
        raise ConfigurationError("FERRY_LOG_CONFIG: no")

    monkeypatch.setattr("ferry_shared.logs.configure", refuse)
    assert main(["a"]) == 2
    assert capsys.readouterr().err == "ferry-producer: FERRY_LOG_CONFIG: no\n"


def test_help_is_quick() -> None:
    """--help shows examples and exit codes, and loads few modules: neither Kafka's client nor pydantic nor asyncio."""
    program = (
        "import sys; from ferry_producer.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout
    assert "exit codes:" in done.stdout
    loaded = done.stderr.split()
    assert not {"asyncio", "confluent_kafka", "orjson", "pydantic", "rich", "shtab"} & set(loaded)
    assert len(loaded) <= MOST_MODULES


def test_a_reader_who_leaves_is_no_error() -> None:
    """`ferry-producer --help | true` ends with 0 and without a complaint of the interpreter."""
    source, target = os.pipe()
    os.close(source)
    # Unbuffered output would meet the closed pipe inside argparse, which ignores it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "ferry_producer", "--help"]
    done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(target)
    assert (done.returncode, done.stderr) == (0, b"")
