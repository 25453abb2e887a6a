"""A topic's configuration, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.moments import age_text

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Kafka's own sign for "without limit".
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What matters of a topic's configuration; None is what Kafka didn't tell, -1 is without limit.

    The names are Kafka's topic configurations.
    """

    retention_ms: int | None
    retention_bytes: int | None
    compacts: bool
    deletes: bool
    max_message_bytes: int | None
    min_in_sync: int | None

    @classmethod
    def of(cls, config: Mapping[str, str]) -> TopicConfig:
        """Read Kafka's answer; a value that is no number counts as not told."""
        policies = {policy.strip() for policy in config.get("cleanup.policy", "delete").split(",")}
        return cls(
            _number(config, "retention.ms"),
            _number(config, "retention.bytes"),
            "compact" in policies,
            "delete" in policies,
            _number(config, "max.message.bytes"),
            _number(config, "min.insync.replicas"),
        )

    @property
    def keeps_for_seconds(self) -> float | None:
        """How long a record stays at least, as far as time decides; None: for ever, or not told."""
        if not self.deletes or self.retention_ms is None or self.retention_ms < 0:
            return None
        return self.retention_ms / 1000


def retention_text(config: TopicConfig) -> str:
    """How long Kafka keeps a record."""
    limits = []
    if config.keeps_for_seconds is not None:
        limits.append(f"for {age_text(config.keeps_for_seconds)}")
    if config.deletes and config.retention_bytes is not None and config.retention_bytes >= 0:
        limits.append(f"up to {config.retention_bytes:,} bytes a partition")
    kept = f"keeps records {' and '.join(limits)}" if limits else "keeps records for ever"
    return f"{kept}, of each key the last one for certain" if config.compacts else kept


def _number(config: Mapping[str, str], name: str) -> int | None:
    text = config.get(name, "")
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() else None
