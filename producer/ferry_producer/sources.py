"""Where messages come from: arguments, standard input, or the default texts; each text or line → `Message`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson
from pydantic import ValidationError

from ferry_producer.lines import MAX_LINE_BYTES, ChunkReader, Line, LineSplitter
from ferry_shared.errors import FerryError
from ferry_shared.message import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ferry_producer.stop import Stop

STANDARD_INPUT = "-"
DEFAULT_TEXTS = ("Hello from Ferry", "Kafka carries this text", "Celery prints it")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InvalidText(FerryError):
    """A text or line that can't become a message. It says what is wrong, without repeating the text."""


class UnreadableInput(FerryError):
    """Standard input can't be read."""


def message_from(content: bytes | None) -> Message:
    """Make one text or line a message: a JSON object is the message itself, anything else is its `text`.

    Integers of any size stay as they are; `id` and `sent_at` are added when missing; unknown fields are kept.

    Raises:
        InvalidText: it is neither, or the message breaks the schema.
    """
    if content is None:
        raise InvalidText(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        if _is_json_object(content):
            return Message.model_validate_json(content)
        return Message.model_validate({"text": content.decode()})
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start + 1}"
    except ValidationError as error:
        details = error.errors(include_input=False, include_context=False, include_url=False)
        problem = "; ".join(f"{'.'.join(map(str, detail['loc'])) or 'message'}: {detail['msg']}" for detail in details)
    raise InvalidText(problem)


def _is_json_object(content: bytes) -> bool:
    if not content.lstrip().startswith(b"{"):
        return False
    try:
        # Only orjson refuses all that JSON forbids (NaN, say); pydantic then parses again to keep long integers.
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


def checked_arguments(texts: Sequence[str]) -> list[Line]:
    """Number the texts of the command line and check them, so that a mistake is told before anything is sent.

    Raises:
        InvalidText: naming the argument.
    """
    lines = [Line(number, text.encode(errors="surrogateescape")) for number, text in enumerate(texts, 1)]
    for line in lines:
        if line.content != STANDARD_INPUT.encode():
            try:
                message_from(line.content)
            except InvalidText as error:
                raise InvalidText(f"argument {line.number}: {error}") from None
    return lines


def standard_input() -> int:
    """Return its file descriptor.

    Raises:
        UnreadableInput: it is closed (then number 0 is soon some other file of this process).
    """
    if sys.stdin is None:
        raise UnreadableInput("standard input can't be read: it is closed")
    return sys.stdin.fileno()


async def once(arguments: Sequence[Line], descriptor: int | None, stop: Stop) -> AsyncIterator[list[Line]]:
    """Yield the arguments in their order, and for `-` the lines of the descriptor.

    Raises:
        Stopped: a signal came before the end of the input.
        UnreadableInput: the descriptor can't be read.
    """
    for argument in arguments:
        if descriptor is None or argument.content != STANDARD_INPUT.encode():
            yield [argument]
        else:
            async for lines in _read(descriptor, stop):
                yield lines


async def _read(descriptor: int, stop: Stop) -> AsyncIterator[list[Line]]:
    reader, splitter = ChunkReader(descriptor), LineSplitter()
    chunk = (await _chunk(reader, stop)).removeprefix(_BYTE_ORDER_MARK)
    while chunk:
        yield _not_empty(splitter.feed(chunk))
        chunk = await _chunk(reader, stop)
    yield _not_empty(splitter.end())


def _not_empty(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.content != b""]


async def _chunk(reader: ChunkReader, stop: Stop) -> bytes:
    try:
        return await stop.unless_asked(reader.next())
    except OSError as error:
        raise UnreadableInput(f"standard input can't be read: {error.strerror}") from error


async def forever(texts: Sequence[Line], interval_seconds: float, stop: Stop) -> AsyncIterator[list[Line]]:
    """Yield the texts in turn, one every `interval_seconds`, until a signal comes; the default texts are counted."""
    number = 0
    while not stop.asked:
        number += 1
        content = texts[(number - 1) % len(texts)].content if texts else _counted_default(number)
        yield [Line(number, content)]
        await stop.sleep(interval_seconds)


def default_lines() -> list[Line]:
    """The default texts."""
    return [Line(number, text.encode()) for number, text in enumerate(DEFAULT_TEXTS, 1)]


def _counted_default(number: int) -> bytes:
    return f"{DEFAULT_TEXTS[(number - 1) % len(DEFAULT_TEXTS)]} (message {number})".encode()
