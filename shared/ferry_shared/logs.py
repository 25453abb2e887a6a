"""Logs: one `logging_config.json` for every component, a plain form for tailing and a JSON form.

A line of a message's way carries its task id. Text that came with a message can neither start a line of its own
nor send control characters to a terminal: both forms escape them (CWE-117).
"""

from __future__ import annotations

import json
import logging
import logging.config
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pythonjsonlogger.json import JsonFormatter

from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_shared.settings import LogSettings

Component = Literal["producer", "consumer", "worker", "beat"]
TextMode = Literal["full", "truncate", "off"]

TRUNCATED_CHARACTERS = 200
_CONTINUATION = "    | "
#: C0 and C1 controls, DEL, line and paragraph separators, text-direction overrides, lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_task_id: ContextVar[str] = ContextVar("ferry_task_id", default="-")


@contextmanager
def task_context(task_id: str) -> Iterator[None]:
    """Put `task_id` on every line that is logged inside."""
    token = _task_id.set(task_id)
    try:
        yield
    finally:
        _task_id.reset(token)


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

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Escape the finished line, fields and all."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Set each line of the traceback apart, so that text inside cannot pass for a log line."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(_CONTINUATION + printable(line) for line in lines)


class JsonLinesFormatter(JsonFormatter):
    """One JSON object a line; ASCII only, so that nothing in it can act on a terminal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, json_ensure_ascii=True)


def configure(component: Component, settings: LogSettings) -> None:
    """Set up logging for this process from `logging_config.json`.

    Raises:
        ConfigurationError: `FERRY_LOG_CONFIG` is not a readable dictConfig document.
    """
    try:
        document = json.loads(_document_path(settings).read_text(encoding="utf-8"))
        logging.config.dictConfig(_chosen(document, component, settings))
    except (OSError, ValueError, TypeError, AttributeError, ImportError) as error:
        problem = f"FERRY_LOG_CONFIG: expected a logging.config.dictConfig document: {error}"
    else:
        return
    raise ConfigurationError(problem)


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
    document["loggers"][f"ferry.{component}"]["level"] = settings.log_level
    return document


def flush() -> None:
    """Push out what the handlers hold, before a process ends in a hurry."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
