"""Who types the command, for those who find out later what was done."""

import getpass
import socket


def operator_name() -> str:
    """`user@host`; `unknown@host` where the system knows no user of that number, as in some containers."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
