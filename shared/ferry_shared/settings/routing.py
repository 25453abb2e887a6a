"""Settings that say which topic becomes which task."""

from pydantic import Field

from ferry_shared.settings.section import Settings


class RoutingSettings(Settings):
    """Which topic becomes which task."""

    ferry_topic: str = Field("messages", min_length=1, max_length=249, description="Topic of the built-in route.")
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
