"""Settings that say which topic becomes which task."""

from typing import Annotated

from pydantic import AfterValidator, Field

from ferry_shared.record import TOPIC_NAME_EXPECTED, is_topic_name
from ferry_shared.settings.section import Settings


def _topic_name(name: str) -> str:
    if not is_topic_name(name):
        raise ValueError(TOPIC_NAME_EXPECTED)
    return name


class RouteSettings(Settings):
    """Which topic becomes which task."""

    ferry_topic: Annotated[str, AfterValidator(_topic_name)] = Field(
        "messages", description="Topic of the built-in route."
    )
    ferry_routes: str = Field(
        "",
        description='Your routes, as "package.module:attribute"; empty: FERRY_TOPIC to the task printSomething.',
    )


class RoutingSettings(RouteSettings):
    """Which topic becomes which task, for which consumer group."""

    consumer_group: str = Field(
        "ferry",
        min_length=1,
        max_length=200,
        description="Kafka consumer group; each group has a ledger of its own.",
    )
