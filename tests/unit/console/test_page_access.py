"""Who may see the page."""

import dataclasses
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.page.access import TOKEN, Access, Asked

KEY = "a-token-of-the-test"
OPEN = Access(None, frozenset({"ferry.example"}), "cookie")
CLOSED = dataclasses.replace(OPEN, token=KEY)
READ = Asked("GET", "/", ["127.0.0.1:8090"], [], None, None, None)
CHANGE = dataclasses.replace(READ, method="POST", path="/dead-letters/replay", origins=["http://127.0.0.1:8090"])


def status(access: Access, asked: Asked, **changed: object) -> int | None:
    """The status of the refusal, None if there is none."""
    refusal = access.refusal(dataclasses.replace(asked, **changed))  # type: ignore[arg-type]
    return refusal.status if refusal else None


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8090", "localhost:1", "LOCALHOST", "[::1]:8090", "10.1.2.3:80", "ferry.example:8090",
     "Ferry.Example"],
)  # fmt: skip
def test_known_hosts(host: str) -> None:
    """Any address, localhost, and the names that were given."""
    assert status(OPEN, READ, hosts=[host]) is None


@pytest.mark.parametrize(
    "hosts",
    [[], [""], ["evil.example"], ["127.0.0.1.evil.example"], ["localhost.evil.example"], ["localhost."],
     ["127.0.0.1", "127.0.0.1"], ["127.0.0.1:8090@evil.example"], ["evil.example:127"], ["[::1"], ["::1"],
     ["ferry.example/"], ["2130706433"], ["127.1"], ["a b"], ["\u0661.1.1.1"]],
)  # fmt: skip
def test_unknown_hosts(hosts: list[str]) -> None:
    """A name that a stranger may have let lead here is refused, whatever the token."""
    assert status(OPEN, READ, hosts=hosts) == 400
    assert status(CLOSED, READ, hosts=hosts, given_token=KEY) == 400


@given(host=st.text())
def test_any_host_header(host: str) -> None:
    """What is let through is an address, localhost or a name that was given, with or without a port."""
    if status(OPEN, READ, hosts=[host]) is None:
        name = host.lower().rpartition(":")[0] if host[-1:] != "]" and ":" in host else host.lower()
        assert name in {"localhost", "ferry.example"} or set(name) <= set("0123456789abcdef:.[]")


def test_a_token_is_needed_for_everything() -> None:
    """By the address once, by the cookie ever after; neither half of it nor more than it will do."""
    for asked in (READ, CHANGE, dataclasses.replace(READ, path="/events")):
        assert status(CLOSED, asked) == 401
        assert status(CLOSED, asked, given_token=KEY) is None
        assert status(CLOSED, asked, cookie_token=KEY) is None
        for wrong in ("", KEY[:-1], KEY + "x", KEY.upper(), "\u00e9"):
            assert status(CLOSED, asked, given_token=wrong, cookie_token=wrong) == 401


def test_the_token_is_kept_when_it_was_given() -> None:
    """Only a token that is right, and only where one is asked for."""
    assert CLOSED.is_new(dataclasses.replace(READ, given_token=KEY))
    assert not CLOSED.is_new(dataclasses.replace(READ, cookie_token=KEY))
    assert not CLOSED.is_new(dataclasses.replace(READ, given_token="another-token-here"))
    assert not OPEN.is_new(dataclasses.replace(READ, given_token=KEY))


@given(text=st.text(), other=st.text())
def test_no_other_text_is_the_token(text: str, other: str) -> None:
    """Any text is let through if and only if it is the token."""
    access = dataclasses.replace(OPEN, token=text or "x")
    assert (status(access, READ, given_token=other) is None) == (other == (text or "x"))


def test_tokens_that_are_made_are_tokens() -> None:
    """What Ferry makes is what it would take from a file; a short one, or one with a space, isn't."""
    assert TOKEN.fullmatch(secrets.token_urlsafe(32))
    assert not TOKEN.fullmatch("short")
    assert not TOKEN.fullmatch("sixteen or more;")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8090", "https://127.0.0.1:8090"])
def test_changes_from_the_page(origin: str) -> None:
    """The origin's host is the one that is asked; a proxy may have spoken HTTPS."""
    assert status(OPEN, CHANGE, origins=[origin]) is None


@pytest.mark.parametrize(
    "origins",
    [[], [""], ["null"], ["http://evil.example"], ["http://127.0.0.1"], ["http://127.0.0.1:80901"],
     ["http://127.0.0.1:8090", "http://127.0.0.1:8090"], ["file://127.0.0.1:8090"], ["127.0.0.1:8090"],
     ["http://evil.example#127.0.0.1:8090"], ["http://[127.0.0.1:8090"]],
)  # fmt: skip
def test_changes_from_elsewhere(origins: list[str]) -> None:
    """Without the page's own origin nothing changes, token or not; reading needs none."""
    assert status(OPEN, CHANGE, origins=origins) == 403
    assert status(CLOSED, CHANGE, origins=origins, cookie_token=KEY) == 403
    assert status(OPEN, READ, origins=origins) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_may_link_and_nothing_else(site: str) -> None:
    """A browser that says that another page asks gets the page, and neither streams nor data."""
    assert status(OPEN, READ, fetch_site=site) is None
    assert status(OPEN, READ, fetch_site=site, path="/events") == 403
    assert status(OPEN, CHANGE, fetch_site=site) == 403
    for own in ("same-origin", "none", None):
        assert status(OPEN, READ, fetch_site=own, path="/events") is None
