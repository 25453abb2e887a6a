"""One line → one Kafka record: its value, its key, its headers. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferry_producer.lines import MAX_LINE_BYTES, Line
from ferry_producer.messages import InvalidText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: A line, and the value and key that it becomes. A class would take longer to make than all the rest of it.
Record = tuple[Line, bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a run makes records of its lines: `value_of` checks a line's content and gives the record's value.

    The key is `key` for all, or what each message has in `key_field` (`customer`, or `order.id` inside an object).
    """

    value_of: Callable[[bytes], bytes]
    key: bytes | None = None
    key_field: Sequence[str] = ()
    headers: Sequence[tuple[str, bytes]] = ()

    def record(self, line: Line) -> Record:
        """Make one record.

        Raises:
            InvalidText: the line can't become a message, or has no key.
        """
        if line.content is None:
            raise InvalidText(f"longer than {MAX_LINE_BYTES} bytes")
        value = self.value_of(line.content)
        return line, value, _key_in(value, self.key_field) if self.key_field else self.key

    def records(self, lines: Iterable[Line]) -> tuple[list[Record], InvalidText | None]:
        """Make the records of these lines, up to the first that has none; returns as well what is wrong with that."""
        records = list[Record]()
        value_of, key = self.value_of, self.key
        try:
            for line in lines:
                content = line.content
                # Most have nothing else to look at.
                if content is None or self.key_field:
                    records.append(self.record(line))
                else:
                    records.append((line, value_of(content), key))
        except InvalidText as problem:
            return records, problem
        return records, None


def _key_in(value: bytes, path: Sequence[str]) -> bytes:
    try:
        # Numbers keep their digits: as floats, long order numbers would share keys.
        found: Any = json.loads(value, parse_int=str, parse_float=str)
    except RecursionError:
        raise InvalidText("too deeply nested for --key-field") from None
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, bool):
        found = json.dumps(found)
    if not isinstance(found, str) or not found:
        raise InvalidText(f"{'.'.join(path)}: expected a text or number to be the key")
    return found.encode()
