"""`ferry console`: serve the page until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
import sys
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

import uvicorn

from ferry_console.output import say
from ferry_console.page.access import EXPECTED, TOKEN, Access
from ferry_console.page.application import Sources, page_application
from ferry_console.page.guard import TOKEN_PARAMETER
from ferry_console.page.letter_desk import LetterDesk
from ferry_console.page.message_finder import MessageFinder
from ferry_console.page.redis_source import RedisSource
from ferry_console.page.watching import GroupWatch
from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.client import connect
from ferry_shared.logs import printable
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    from pathlib import Path

EXIT_OK, EXIT_USAGE = 0, 2
TOKEN_BYTES = 32
#: Browsers at the page at the same time, each with a stream or two.
MOST_CONNECTIONS = 200
#: After that what still runs is cut off.
STOP_SECONDS = 3

_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class PageArguments(Protocol):
    """What the command line gives."""

    host: str
    port: int
    token_file: Path | None
    allowed_host: list[str]
    group: str | None
    old: float


def main(arguments: PageArguments) -> int:
    """Serve until a signal; returns the exit code."""
    settings = load(ConsumerSettings)
    token = _token(arguments)
    try:
        listener = _listen(arguments.host, arguments.port)
    except (OSError, UnicodeError) as error:
        print(
            f"ferry: can't listen on {printable(arguments.host)}, port {arguments.port}: {error}; "
            "--host and --port say where",
            file=sys.stderr,
        )
        return EXIT_USAGE
    port = listener.getsockname()[1]
    names = frozenset(name.lower() for name in (arguments.host, socket.gethostname(), *arguments.allowed_host))
    access = Access(token, names, f"ferry-console-{port}")
    server: uvicorn.Server | None = None
    app = page_application(access, _sources(settings, arguments), lambda: server is not None and server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    say([f"the page is at {_link(arguments, port, token)} until Ctrl-C"])
    server.run(sockets=[listener])
    return EXIT_OK


def _sources(settings: ConsumerSettings, arguments: PageArguments) -> Sources:
    client = connect(settings.ledger_url)
    group = RedisSource(client, settings, arguments.group or settings.consumer_group)
    return Sources(
        GroupWatch(group, arguments.old),
        partial(MessageFinder, client, settings),
        LetterDesk(client, settings, lambda sentence: say([printable(sentence)])),
    )


def _token(arguments: PageArguments) -> str | None:
    """The token of the file, or a new one where others can reach the page.

    Raises:
        ConfigurationError: the file can't be read, or holds no token.
    """
    if arguments.token_file is None:
        return None if is_loopback(arguments.host) else secrets.token_urlsafe(TOKEN_BYTES)
    try:
        text = arguments.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--token-file: expected a file that can be read: {error}") from error
    if not TOKEN.fullmatch(text):
        raise ConfigurationError(f"--token-file: {EXPECTED}")
    return text


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server((host, port), family=family)


def _link(arguments: PageArguments, port: int, token: str | None) -> str:
    """Where the page is; a token that was made here is shown nowhere else, one from a file is known already."""
    host = socket.gethostname() if arguments.host in _EVERY_ADDRESS else arguments.host
    host = f"[{host}]" if ":" in host else host
    if token is None:
        return f"http://{host}:{port}"
    return f"http://{host}:{port}/?{TOKEN_PARAMETER}={'…' if arguments.token_file else token}"
