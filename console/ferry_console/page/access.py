"""Who may see the page: the names it goes by, the token, and where a change may come from. Nothing here does I/O."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a cookie and an address can hold unchanged (RFC 6265, RFC 3986); shorter ones can be guessed.
TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,256}", re.ASCII)
EXPECTED = "expected a token of 16 to 256 letters, digits, and any of . _ ~ -"
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides; a header that comes more than once has all its values."""

    method: str
    path: str
    hosts: Sequence[str]
    origins: Sequence[str]
    fetch_site: str | None
    given_token: str | None
    cookie_token: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP status, and a sentence that says what to do."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Access:
    """The rules. `token` None: whoever reaches the address may see it. `names` are those besides addresses.

    `cookie` is the name under which a browser keeps the token; cookies know no ports, so it should tell its own.
    """

    token: str | None
    names: frozenset[str]
    cookie: str

    def refusal(self, asked: Asked) -> Refusal | None:
        """Why a request is not answered; None: it is."""
        if not self._is_known_host(asked.hosts):
            return Refusal(400, "unknown host name: ask by the machine's address, or start with --allowed-host NAME")
        if not self._has_token(asked):
            return Refusal(401, "no valid token: open the link with ?token=… that `ferry console` was started with")
        if asked.method not in _READING and not _is_own_origin(asked):
            return Refusal(403, "a change must come from the page itself: its Origin isn't this host's")
        if asked.fetch_site in {"cross-site", "same-site"} and (asked.method not in _READING or asked.path != "/"):
            return Refusal(403, "another page may link to this one, and ask nothing of it")
        return None

    def is_new(self, asked: Asked) -> bool:
        """Whether the browser is to keep the token that it has shown."""
        return self.token is not None and self._is_token(asked.given_token)

    def _is_known_host(self, hosts: Sequence[str]) -> bool:
        """Whether it is asked by an address, or by a name that was given to it.

        A stranger's page can let a name of its own lead to this machine (DNS rebinding); an address it can't.
        """
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            return False
        name = match["name"].lower()
        return name == "localhost" or name in self.names or _is_address(name.strip("[]"))

    def _has_token(self, asked: Asked) -> bool:
        return self.token is None or self._is_token(asked.given_token) or self._is_token(asked.cookie_token)

    def _is_token(self, text: str | None) -> bool:
        return secrets.compare_digest((text or "").encode(), (self.token or "").encode())


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_own_origin(asked: Asked) -> bool:
    """Whether the page that asks came from the host that is asked; a proxy may speak HTTPS for it."""
    if len(asked.origins) != 1:
        return False
    try:
        parts = urlsplit(asked.origins[0])
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == asked.hosts[0].lower()
