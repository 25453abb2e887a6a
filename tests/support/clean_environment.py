"""An environment without any setting of Ferry's, so that a developer's own settings never reach a test."""

import os

_SETTING_PREFIXES = ("KAFKA_", "CELERY_", "FERRY_", "CONSUMER_", "PRODUCER_", "WORKER_", "LOG_", "REDIS_")
#: The second one: all consumers that tests start use batches of that many, `make test-batches`.
_KEPT = frozenset({"FERRY_ALLOW_SKIP", "FERRY_TEST_BATCH_SIZE"})


def clean_environment() -> dict[str, str]:
    """The variables of this process without Ferry's, with unbuffered Python output."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.upper().startswith(_SETTING_PREFIXES)
    }
    batches = {"CONSUMER_BATCH_SIZE": kept["FERRY_TEST_BATCH_SIZE"]} if "FERRY_TEST_BATCH_SIZE" in kept else {}
    return kept | batches | {"PYTHONUNBUFFERED": "1"}
