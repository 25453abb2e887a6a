"""What the doctor says: one finding a line, each with what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """`ERROR`: Ferry can't work like this, or breaks a promise. `WARNING`: it works, and somebody should know."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Area(StrEnum):
    """What was looked at, in the order in which it is told."""

    SETTINGS = "settings"
    CLIENTS = "clients"
    REDIS = "redis"
    KAFKA = "kafka"
    TOPICS = "topics"
    RIGHTS = "rights"
    CLOCKS = "clocks"
    CONSUMERS = "consumers"
    WORKERS = "workers"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on one thing; `remedy` says what to do next, and is empty where nothing is to be done."""

    area: Area
    severity: Severity
    told: str
    remedy: str = ""


def ok(area: Area, told: str) -> Finding:
    """All is well, or there is nothing to be done."""
    return Finding(area, Severity.OK, told)


def warning(area: Area, told: str, remedy: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(area, Severity.WARNING, told, remedy)


def error(area: Area, told: str, remedy: str) -> Finding:
    """It can't work like this."""
    return Finding(area, Severity.ERROR, told, remedy)


def not_asked(area: Area, server: str) -> Finding:
    """A server that can't be asked, since its settings are wrong."""
    return warning(area, f"{server} is not asked: the settings that lead to it are wrong", "correct them and ask again")
