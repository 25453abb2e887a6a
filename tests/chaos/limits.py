"""The limits of the system under test: short, so that it recovers while one looks on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds, as the settings of the services have them."""

    hard_seconds: int = 5
    margin_seconds: int = 5
    redeliver_after_seconds: int = 10
    session_seconds: int = 6

    @property
    def lease_seconds(self) -> int:
        """How long a claim holds."""
        return self.hard_seconds + self.margin_seconds

    @property
    def visibility_seconds(self) -> int:
        """When Redis hands a silent worker's tasks back."""
        return self.hard_seconds + 2 * self.margin_seconds

    def settings(self) -> dict[str, str]:
        """The environment variables that say so."""
        return {
            "WORKER_TASK_TIME_LIMIT_SECONDS": str(self.hard_seconds),
            "WORKER_LEASE_MARGIN_SECONDS": str(self.margin_seconds),
            "CONSUMER_REDELIVER_AFTER_SECONDS": str(self.redeliver_after_seconds),
            "CONSUMER_SESSION_TIMEOUT_MS": str(self.session_seconds * 1000),
        }
