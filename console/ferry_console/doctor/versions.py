"""Which clients are installed, and whether they are those that Ferry, and each other, ask for."""

from __future__ import annotations

import operator
import platform
import re
from dataclasses import dataclass
from importlib import metadata
from itertools import zip_longest
from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Area, error, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ferry_console.doctor.finding import Finding

DISTRIBUTION = "ferry-kafka"
#: In the order in which they are told.
CLIENTS = ("confluent-kafka", "redis", "hiredis", "celery", "kombu")
#: What only workers need.
WORKERS_OWN = frozenset({"celery", "kombu"})
#: Who asks for a version of one of them, and under which extra: their own metadata is the source.
ASKING = {DISTRIBUTION: ("console", "worker"), "kombu": ("redis",), "celery": ("",)}

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(\[[^]]*\])?\s*(?P<range>[^;]*)(;\s*(?P<marker>.*))?")
_EXTRA = re.compile(r"extra == ['\"]([\w-]+)['\"]")
_CLAUSE = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9]+(?:\.[0-9]+)*)")
_COMPARISONS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """`asking` wants `name` in a range of versions, such as `<6,>=5.7`."""

    asking: str
    name: str
    range: str


def versions_installed() -> dict[str, str]:
    """The versions of Ferry and the clients; what isn't installed is missing."""
    found = {}
    for name in (DISTRIBUTION, *CLIENTS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def versions_wanted() -> list[Wanted]:
    """What is asked for by the metadata of those who are installed."""
    found = []
    for asking, extras in ASKING.items():
        try:
            requirements = metadata.requires(asking) or ()
        except metadata.PackageNotFoundError:
            continue
        found += [wanted for text in requirements if (wanted := wanted_by(asking, text, extras))]
    return list(dict.fromkeys(found))


def wanted_by(asking: str, requirement: str, extras: tuple[str, ...]) -> Wanted | None:
    """Read a line of `Requires-Dist`; None when it is of another extra, needs a platform, or is of no client."""
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None or match["name"] not in CLIENTS:
        return None
    marker = match["marker"] or ""
    extra = _EXTRA.fullmatch(marker.strip())
    if (marker and extra is None) or (extra[1] if extra else "") not in extras:
        return None
    return Wanted(asking, match["name"], match["range"].strip().strip("()"))


def is_within(version: str, wanted: str) -> bool | None:
    """Whether a version is in a range; None where one of them has more than numbers (`6.0rc1`, `~=`, `*`)."""
    number = _numbers(version)
    if number is None:
        return None
    for clause in filter(None, (part.strip() for part in wanted.split(","))):
        match = _CLAUSE.fullmatch(clause)
        bound = _numbers(match[2]) if match else None
        if match is None or bound is None:
            return None
        if not _COMPARISONS[match[1]](*_as_long(number, bound)):
            return False
    return True


def version_findings(installed: Mapping[str, str], wanted: list[Wanted], librdkafka: str | None) -> Iterator[Finding]:
    """One line of versions, and one for each that somebody asks for otherwise; `librdkafka` is the loaded one's."""
    here = f"Python {platform.python_version()}, Ferry {installed.get(DISTRIBUTION, 'not installed as a package')}"
    clients = [
        f"{name} {installed[name]}" + (f" (librdkafka {librdkafka})" if name == "confluent-kafka" else "")
        for name in CLIENTS
        if name in installed
    ]
    yield ok(Area.CLIENTS, ", ".join([here, *clients]))
    if missing := [name for name in CLIENTS if name not in installed]:
        yield _missing(missing)
    for want in wanted:
        if want.name in installed and is_within(installed[want.name], want.range) is False:
            yield error(
                Area.CLIENTS,
                f"{want.name} {installed[want.name]} is installed, {want.asking} asks for {want.range}",
                f"pip install '{want.name}{want.range}'",
            )


def _missing(names: list[str]) -> Finding:
    if set(names) <= WORKERS_OWN:
        return ok(Area.CLIENTS, f"{', '.join(names)} not installed: only workers need that, and none can run here")
    return error(Area.CLIENTS, f"{', '.join(names)} not installed", "pip install 'ferry-kafka[console]'")


def _numbers(version: str) -> tuple[int, ...] | None:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", version, re.ASCII):
        return None
    return tuple(int(part) for part in version.split("."))


def _as_long(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """1.2 and 1.2.0 are the same."""
    pairs = list(zip_longest(first, second, fillvalue=0))
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
