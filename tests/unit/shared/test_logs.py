"""Logs: one line a record whatever the text, and one document for every component."""

import io
import json
import logging
import logging.config
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferry_shared import logs
from ferry_shared.errors import ConfigurationError
from ferry_shared.logs import JsonLinesFormatter, PlainFormatter, TaskContext, message_text, printable
from ferry_shared.settings import LogSettings

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "logging_config.json").read_text())
PLAIN = PlainFormatter(DOCUMENT["formatters"]["plain"]["format"])
JSON = JsonLinesFormatter(
    DOCUMENT["formatters"]["json"]["fmt"], rename_fields=DOCUMENT["formatters"]["json"]["rename_fields"]
)
COMPONENTS: tuple[logs.Component, ...] = get_args(logs.Component)
FORGED = "2026-01-31 12:00:00.123 INFO    ferry.worker [messages-0-1] forged"
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def record(message: str, *arguments: object, task_id: str = "messages-0-1", **fields: object) -> logging.LogRecord:
    """A log record as a logger would make it."""
    made = logging.LogRecord("ferry.worker", logging.INFO, __file__, 1, message, arguments or None, None)
    made.__dict__.update(task_id=task_id, **fields)
    return made


def failure(text: str) -> Any:
    """What a logger takes from an exception with `text`."""
    error = RuntimeError(text)
    error.__cause__ = ValueError(text)
    return RuntimeError, error, None


def is_safe(line: str) -> bool:
    """Whether a terminal shows `line` and does nothing else."""
    return not any(
        unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}
        or unicodedata.bidirectional(character) in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
        for character in line
    )


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Tests of `configure` leave no trace."""
    root = logging.getLogger()
    names = list(DOCUMENT["loggers"])
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in names}
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name, (old_level, propagate) in before.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(old_level)
        logger.propagate = propagate


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("\x7f\x9b2J\u2028", "\ud800", "\n")
def test_any_text_is_one_plain_line(text: str, argument: str, task_id: str) -> None:
    """Whatever comes with a message, its line is one line that does nothing to a terminal."""
    line = PLAIN.format(record(text.replace("%", "%%") + "%s", argument, task_id=task_id))

    assert len(line.splitlines()) == 1
    assert is_safe(line)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("\x7f\x9b2J\u2028", "\ud800", "\n")
def test_any_text_is_one_json_line(text: str, argument: str, task_id: str) -> None:
    """In the JSON form the text is one line of printable ASCII, and comes back as it was."""
    line = JSON.format(record(text.replace("%", "%%") + "%s", argument, task_id=task_id, extra_field=text))
    fields = json.loads(line)

    assert line.isascii()
    assert line.isprintable()
    assert (fields["message"], fields["task_id"], fields["extra_field"]) == (text + argument, task_id, text)


@given(st.text(min_size=1))
def test_text_without_controls_is_printed_as_it_is(text: str) -> None:
    """Only what is dangerous is escaped."""
    if is_safe(text) and not set(text) & set("\u200e\u200f\u061c"):
        assert printable(text) == text


def test_what_is_escaped_can_be_read() -> None:
    """An escape tells which character it stands for."""
    assert printable("a\nb\x1b[31m\u2028\u202e\x7f\ud800") == r"a\nb\x1b[31m\u2028\u202e\x7f\ud800"


@given(ANY_TEXT)
def test_a_traceback_forges_no_plain_line(text: str) -> None:
    """Behind its line every line of a traceback is indented behind a bar, whatever the exception's text."""
    made = record("failed")
    made.exc_info = failure(f"{text}\n{FORGED}")
    first, *others = PLAIN.format(made).split("\n")

    assert first.endswith("[messages-0-1] failed")
    assert any("forged" in line for line in others)
    assert all(line.startswith("    | ") and is_safe(line) for line in others)


@given(ANY_TEXT)
def test_a_traceback_is_inside_its_json_line(text: str) -> None:
    """A traceback is a field of the one line."""
    made = record("failed")
    made.exc_info = failure(f"{text}\n{FORGED}")
    line = JSON.format(made)

    assert line.isprintable()
    assert "forged" in json.loads(line)["exc_info"]


@pytest.mark.parametrize("formatter", [PLAIN, JSON], ids=["plain", "json"])
def test_what_another_formatter_left_behind_forges_nothing(formatter: logging.Formatter) -> None:
    """A traceback that another handler has put into the record as text is treated like one's own."""
    made = record("failed")
    made.exc_text = f"ValueError: {FORGED}\n{FORGED}\x1b[2J"
    made.stack_info = f"Stack:\n{FORGED}"
    with_exception = record("failed")
    with_exception.exc_info, with_exception.exc_text = failure("no"), FORGED

    for text in (formatter.format(made), formatter.format(with_exception)):
        assert all(line.startswith(("    | ", "{")) for line in text.split("\n")[1:])
        assert "\x1b" not in text


def test_a_plain_line() -> None:
    """Time, level, logger, task id, message: in this order, aligned for tailing."""
    assert PLAIN.format(record("hello (%d ms)", 3)).endswith(" INFO    ferry.worker [messages-0-1] hello (3 ms)")
    assert len(PLAIN.format(record("hello")).split(" INFO")[0]) == len("2026-01-31 12:00:00.123")


def test_a_json_line() -> None:
    """The fields of a line have the names of the document, and the time its zone."""
    made = record("hello", latency_ms=3)
    made.created = 1_800_000_000.25

    assert json.loads(JSON.format(made)) == {
        "time": "2027-01-15T08:00:00.250+00:00", "level": "INFO", "logger": "ferry.worker", "task_id": "messages-0-1",
        "message": "hello", "latency_ms": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "text", "shown"),
    [
        ("full", "x" * 300, "x" * 300),
        ("truncate", "x" * 200, "x" * 200),
        ("truncate", "x" * 201, "x" * 200 + "\u2026 (201 characters)"),
        ("off", "secret", "(6 characters)"),
        ("off", "", "(0 characters)"),
    ],
)
def test_how_much_of_a_text_is_shown(mode: logs.TextMode, text: str, shown: str) -> None:
    """LOG_MESSAGE_TEXT decides what the log shows of a message."""
    assert message_text(text, mode) == shown


def test_the_task_id_is_on_every_line_inside() -> None:
    """Lines that are logged while a task runs carry its id; outside it is a dash; what a line brings itself wins."""
    task_id_filter = logs.TaskIdFilter()

    def seen(**fields: object) -> object:
        made = logging.LogRecord("ferry.worker", logging.INFO, __file__, 1, "text", None, None)
        made.__dict__.update(fields)
        assert task_id_filter.filter(made)
        return made.__dict__["task_id"]

    with TaskContext("messages-0-1"):
        assert seen() == "messages-0-1"
        with TaskContext("messages-0-2"):
            assert seen() == "messages-0-2"
        assert seen(task_id="messages-0-3") == "messages-0-3"
        assert seen() == "messages-0-1"
    assert seen() == "-"


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_has_its_section(component: str) -> None:
    """Each component has a logger and a handler in the document, with the task id on its lines."""
    logger = DOCUMENT["loggers"][f"ferry.{component}"]
    (handler,) = (DOCUMENT["handlers"][name] for name in logger["handlers"])

    assert logger["propagate"] is False
    assert handler["filters"] == ["task_id"]
    assert handler["stream"] == ("ext://sys.stderr" if component == "producer" else "ext://sys.stdout")


def test_the_document_is_a_dict_config_as_it_is() -> None:
    """Somebody else's dictConfig reads the document without Ferry."""
    logging.config.dictConfig(json.loads(json.dumps(DOCUMENT)))


@pytest.mark.parametrize("log_format", ["plain", "json"])
@pytest.mark.parametrize("component", COMPONENTS)
def test_configured_lines(
    monkeypatch: pytest.MonkeyPatch, component: logs.Component, log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each component logs in the form and from the level that the settings name, where it should."""
    logs.configure(component, LogSettings.model_validate({"log_format": log_format, "log_level": "WARNING"}))
    logger = logging.getLogger(f"ferry.{component}")
    with TaskContext("messages-0-1"):
        logger.info("not this")
        logger.warning("this\nline")
    logging.getLogger("a.library").warning("a library's")
    captured = capsys.readouterr()
    own, library = (captured.err if component == "producer" else captured.out).splitlines()

    assert (captured.out if component == "producer" else captured.err) == ""
    assert ("messages-0-1" in own, "a library's" in library) == (True, True)
    if log_format == "json":
        assert json.loads(own)["message"] == "this\nline"
    else:
        assert own.endswith(rf"ferry.{component} [messages-0-1] this\nline")


def test_a_document_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FERRY_LOG_CONFIG names another document; handlers that are not Ferry's stay as they are."""
    document = json.loads(json.dumps(DOCUMENT))
    document["formatters"]["mine"] = {"format": "mine: %(message)s"}
    document["handlers"]["mine"] = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "mine"}
    document["loggers"]["ferry.worker"]["handlers"] = ["mine"]
    document["root"]["handlers"] = ["mine"]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))

    logs.configure("worker", LogSettings(ferry_log_config=str(path), log_format="json"))
    logging.getLogger("ferry.worker").info("hello")
    logging.getLogger("a.library").warning("hello too")

    assert capsys.readouterr().out == "mine: hello\nmine: hello too\n"


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "1", "{}", '{"version": 1}', '{"version": 1, "handlers": {}}', '{"handlers": [], "loggers": {}}',
        '{"version": 1, "handlers": {}, "loggers": {"ferry.producer": {"level": "INFO"}}}',
        '{"version": 2, "handlers": {}, "loggers": {"ferry.worker": {"handlers": []}}}',
        '{"version": 1, "handlers": {}, "loggers": {"ferry.worker": {"handlers": ["nobody"]}}}',
        '{"version": 1, "handlers": {"worker": {"class": "no.such.Class"}}, '
        '"loggers": {"ferry.worker": {"handlers": ["worker"]}}}',
        '{"version": 1, "handlers": {"worker": 1}, "loggers": {"ferry.worker": {"handlers": ["worker"]}}}',
    ],
)  # fmt: skip
def test_a_document_that_is_none(tmp_path: Path, content: str) -> None:
    """A FERRY_LOG_CONFIG that can't be used is told in a sentence, whatever is wrong with it."""
    path = tmp_path / "wrong.json"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match=r"FERRY_LOG_CONFIG: expected a .* document: \S"):
        logs.configure("worker", LogSettings(ferry_log_config=str(path)))


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_document_that_is_not_there(tmp_path: Path, name: str) -> None:
    """A FERRY_LOG_CONFIG that isn't a file is told too."""
    with pytest.raises(ConfigurationError, match="FERRY_LOG_CONFIG: expected"):
        logs.configure("worker", LogSettings(ferry_log_config=str(tmp_path / name)))


def test_a_document_in_another_encoding(tmp_path: Path) -> None:
    """A FERRY_LOG_CONFIG that isn't UTF-8 is told too."""
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="FERRY_LOG_CONFIG: expected"):
        logs.configure("worker", LogSettings(ferry_log_config=str(tmp_path / "latin")))


@pytest.mark.parametrize("component", ["producer", "worker"])
def test_a_locale_that_lacks_a_character_loses_no_line(tmp_path: Path, component: str) -> None:
    """Where output is ASCII, a message that isn't is shown with codes instead of being lost."""
    code = (
        "import logging; from ferry_shared import logs; from ferry_shared.settings import LogSettings, load\n"
        f"logs.configure({component!r}, load(LogSettings))\n"
        f"logging.getLogger('ferry.{component}').info('caf\\u00e9 \\U0001f600')"
    )
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )

    assert (done.stdout + done.stderr).endswith("[-] caf\\xe9 \\U0001f600\n")


def test_output_that_is_no_text_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that a program has put in the place of standard output is left alone."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)

    logs.configure("worker", LogSettings())
    logging.getLogger("ferry.worker").info("hello")

    assert output.getvalue().endswith("hello\n")
