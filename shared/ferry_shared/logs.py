"""Logs: one `logging_config.json` for every component, a plain form for tailing and a JSON form.

A line of a message's way carries its task id. Text that came with a message can neither start a line of its own
nor send control characters to a terminal: both forms escape them (CWE-117).
"""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pythonjsonlogger.json import JsonFormatter

from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from ferry_shared.settings import LogSettings

Component = Literal["producer", "consumer", "worker", "beat"]
COMPONENTS = frozenset(get_args(Component))
TextMode = Literal["full", "truncate", "off"]

TRUNCATED_CHARACTERS = 200
_CONTINUATION = "    | "
#: C0 and C1 controls, DEL, line and paragraph separators, what turns text around, lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_task_id: ContextVar[str] = ContextVar("ferry_task_id", default="-")


class TaskContext:
    """Puts a task id on every line that is logged inside."""

    # contextlib's generator takes three times as long, and each message of a batch has one of these.
    __slots__ = ("_task_id", "_token")

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id

    def __enter__(self) -> None:
        """From now on."""
        self._token = _task_id.set(self._task_id)

    def __exit__(self, *_: object) -> None:
        """What was there before is again."""
        _task_id.reset(self._token)


def printable(text: str) -> str:
    """Escape what could forge a line or drive a terminal: a newline becomes the two characters `\\n`."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape", "backslashreplace").decode("ascii")


def message_text(text: str, mode: TextMode) -> str:
    """What the log shows of a message's text (`LOG_MESSAGE_TEXT`)."""
    if mode == "off":
        return f"({len(text)} characters)"
    if mode == "truncate" and len(text) > TRUNCATED_CHARACTERS:
        return f"{text[:TRUNCATED_CHARACTERS]}… ({len(text)} characters)"
    return text


class TaskIdFilter(logging.Filter):
    """Gives every record the field `task_id`: the one it was logged with, else that of the running task."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        if not hasattr(record, "task_id"):
            record.task_id = _task_id.get()
        return True


class PlainFormatter(logging.Formatter):
    """A line a record, made for tailing; the lines of a traceback are indented behind a bar."""

    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the lines of a traceback behind it.

        A text that another handler's formatter has left in the record is never taken as it is.
        """
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        lines = [text for part in (trace, record.stack_info) if part for text in part.splitlines()]
        return "\n".join([printable(self.formatMessage(record)), *(_CONTINUATION + printable(line) for line in lines)])


class JsonLinesFormatter(JsonFormatter):
    """One JSON object a line; ASCII without DEL, so that nothing in it can act on a terminal; times in UTC."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, json_ensure_ascii=True)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's own name
        """Return the time as ISO 8601 with its zone, which machines read everywhere."""
        if datefmt:
            return super().formatTime(record, datefmt)
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        """Return the object; DEL, which JSON allows as it is, is escaped as well."""
        return super().format(record).replace("\x7f", "\\u007f")


def configure(component: Component, settings: LogSettings) -> None:
    """Set up logging for this process from `logging_config.json`.

    Raises:
        ConfigurationError: `FERRY_LOG_CONFIG` is not a readable dictConfig document.
    """
    try:
        document = json.loads(_document_path(settings).read_text(encoding="utf-8"))
        logging.config.dictConfig(_chosen(document, component, settings))
    except KeyError as error:
        problem = f"no {error} in it"
    except (OSError, ValueError, TypeError, AttributeError, ImportError) as error:
        problem = str(error)
    else:
        _print_anything()
        return
    raise ConfigurationError(f"FERRY_LOG_CONFIG: expected a logging.config.dictConfig document: {problem}")


def _document_path(settings: LogSettings) -> Path:
    if settings.ferry_log_config:
        return Path(settings.ferry_log_config)
    packaged = Path(__file__).with_name("logging_config.json")
    # In an editable install the document lies where the wheel takes it from: at the root of the project.
    return packaged if packaged.exists() else Path(__file__).parents[2] / "logging_config.json"


def _chosen(document: dict[str, Any], component: Component, settings: LogSettings) -> dict[str, Any]:
    """Pick the form and the level that the settings ask for; the document stays the only source of the rest."""
    for handler in document["handlers"].values():
        if handler.get("formatter") in {"plain", "json"}:
            handler["formatter"] = settings.log_format
    own = document["loggers"][f"ferry.{component}"]
    own["level"] = settings.log_level
    root = document.get("root", {})
    if COMPONENTS.issuperset(root.get("handlers", ())):
        # Warnings of libraries go where this component's own lines go.
        root["handlers"] = own["handlers"]
    return document


def _print_anything() -> None:
    """Let a terminal or locale that lacks a character show its code; by default the whole line is lost."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
