"""Server-sent events as they go over the wire (HTML standard, section 9.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ferry_console.output import json_line

#: How long a browser waits before it connects again.
RETRY_MS = 1_000
OPENING = f"retry: {RETRY_MS}\n\n".encode()


@dataclass(frozen=True)
class Event:
    """One event: its name, and a document that becomes JSON. `is_last`: nothing follows."""

    name: str
    document: Any
    is_last: bool = False

    @cached_property
    def frame(self) -> bytes:
        """As it is sent, made once for all who watch: the document is one line of ASCII."""
        return f"event: {self.name}\ndata: {json_line(self.document)}\n\n".encode()
