"""Who types the command and when, for those who find out later what was done."""

import getpass
import socket
from dataclasses import dataclass

from ferry_console.moments import moment_text


@dataclass(frozen=True, slots=True)
class Signature:
    """When (milliseconds since 1970) and by whom something was done; as text it begins a line of what was done."""

    at_ms: int
    who: str

    @property
    def at(self) -> str:
        """When, as ISO 8601 in UTC."""
        return moment_text(self.at_ms)

    def __str__(self) -> str:
        return f"{self.at} {self.who}"


def operator_name() -> str:
    """`user@host`; `unknown@host` where the system knows no user of that number, as in some containers."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
