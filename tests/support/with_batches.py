"""What is another where `make test-batches` has the consumers send batches."""

import os

WITH_BATCHES = int(os.environ.get("FERRY_TEST_BATCH_SIZE", "1")) > 1


def outcome_script(kind: str) -> str:
    """The script that tells the ledger of an outcome: `done`, `retry` or `fail`; of a batch's messages it is one."""
    return "progress" if WITH_BATCHES else kind


def celery_messages(messages: int, partitions: int) -> int:
    """How many Celery messages carry so many messages that are dispatched at once."""
    return partitions if WITH_BATCHES else messages
