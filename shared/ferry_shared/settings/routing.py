"""Settings that say which topic becomes which task."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from ferry_shared.settings.section import Settings


def _topic_name(name: str) -> str:
    """Kafka's own rule (org.apache.kafka.common.internals.Topic)."""
    if not re.fullmatch("[A-Za-z0-9._-]{1,249}", name) or name in {".", ".."}:
        raise ValueError("expected a topic name: 1 to 249 letters, digits, dots, underscores, hyphens")
    return name


class RoutingSettings(Settings):
    """Which topic becomes which task."""

    ferry_topic: Annotated[str, AfterValidator(_topic_name)] = Field(
        "messages", description="Topic of the built-in route."
    )
    ferry_routes: str = Field(
        "",
        description='Your routes, as "package.module:attribute"; empty: FERRY_TOPIC to the task printSomething.',
    )
    consumer_group: str = Field(
        "ferry",
        min_length=1,
        max_length=200,
        description="Kafka consumer group; each group has a ledger of its own.",
    )
