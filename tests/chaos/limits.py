"""The limits of the system under test: short, so that it recovers while one looks on; and how large its batches are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds, as the settings of the services have them; `batch_size` is in messages, 1 is without batches."""

    hard_seconds: int = 5
    margin_seconds: int = 5
    redeliver_after_seconds: int = 10
    session_seconds: int = 6
    batch_size: int = 1

    @property
    def lease_seconds(self) -> int:
        """How long a claim holds."""
        return self.hard_seconds + self.margin_seconds

    @property
    def visibility_seconds(self) -> int:
        """When Redis hands a silent worker's tasks back."""
        return self.hard_seconds + 2 * self.margin_seconds

    @property
    def soft_seconds(self) -> float:
        """When a task is asked to end: the default share of the hard limit."""
        return 0.9 * self.hard_seconds

    @property
    def batch_seconds(self) -> float:
        """After it nothing more of a batch is begun."""
        return self.soft_seconds / 2

    def settings(self) -> dict[str, str]:
        """The environment variables that say so."""
        return {
            "WORKER_TASK_TIME_LIMIT_SECONDS": str(self.hard_seconds),
            "WORKER_LEASE_MARGIN_SECONDS": str(self.margin_seconds),
            "CONSUMER_REDELIVER_AFTER_SECONDS": str(self.redeliver_after_seconds),
            "CONSUMER_SESSION_TIMEOUT_MS": str(self.session_seconds * 1000),
            "CONSUMER_BATCH_SIZE": str(self.batch_size),
        }
