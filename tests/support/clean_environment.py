"""An environment without any setting of Ferry's, so that a developer's own settings never reach a test."""

import os

_SETTING_PREFIXES = ("KAFKA_", "CELERY_", "FERRY_", "CONSUMER_", "PRODUCER_", "WORKER_", "LOG_", "REDIS_")
_KEPT = frozenset({"FERRY_ALLOW_SKIP"})


def clean_environment() -> dict[str, str]:
    """The variables of this process without Ferry's, with unbuffered Python output."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.upper().startswith(_SETTING_PREFIXES)
    }
    return kept | {"PYTHONUNBUFFERED": "1"}
