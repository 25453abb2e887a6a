"""Settings of worker and beat."""

from typing import Self

from pydantic import Field, model_validator

from ferry_shared.settings.logs import LogSettings
from ferry_shared.settings.redis import RedisSettings
from ferry_shared.settings.routing import RoutingSettings

#: Of the hard time limit: when a task gets SoftTimeLimitExceeded, unless something else is said.
SOFT_SHARE = 0.9


class WorkerSettings(RedisSettings, RoutingSettings, LogSettings):
    """Worker and beat."""

    ferry_imports: str = Field("", description="Modules with your tasks, separated by commas: orders.tasks.")
    worker_task_time_limit_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="Hard limit of a task: then its process is killed (task_time_limit).",
    )
    worker_task_soft_time_limit_seconds: int | None = Field(
        None,
        ge=1,
        le=86_400,
        description="When a task gets SoftTimeLimitExceeded (task_soft_time_limit); empty: at 90 % of the hard limit.",
    )
    worker_lease_margin_seconds: int = Field(
        15,
        ge=5,
        le=3600,
        description="Added to the hard limit: how long a claim holds; twice: the visibility timeout.",
    )
    worker_max_claims: int = Field(
        3,
        ge=1,
        le=100,
        description="How often a task may start without an outcome before it becomes a dead letter.",
    )
    worker_redis_wait_seconds: float = Field(
        20,
        ge=0,
        le=300,
        description="How long a task waits for a Redis that is away before it goes back to the queue.",
    )
    worker_prefetch_multiplier: int = Field(4, ge=1, le=1000, description="Tasks each worker process reserves ahead.")
    worker_status_interval_seconds: float = Field(
        60, gt=0, le=86_400, description="How often beat asks for the status line."
    )

    @model_validator(mode="after")
    def _soft_limit_comes_first(self) -> Self:
        if self.soft_time_limit_seconds > self.worker_task_time_limit_seconds:
            raise ValueError("WORKER_TASK_SOFT_TIME_LIMIT_SECONDS: expected at most WORKER_TASK_TIME_LIMIT_SECONDS")
        return self

    @property
    def soft_time_limit_seconds(self) -> float:
        """When a task is asked to end, before the hard limit ends it."""
        return self.worker_task_soft_time_limit_seconds or self.worker_task_time_limit_seconds * SOFT_SHARE

    @property
    def lease_ms(self) -> int:
        """How long a claim holds: the hard time limit plus a margin, in milliseconds."""
        return (self.worker_task_time_limit_seconds + self.worker_lease_margin_seconds) * 1000

    @property
    def visibility_timeout_seconds(self) -> int:
        """When Redis hands a silent worker's tasks back: later than any lease ends (Celery: visibility_timeout)."""
        return self.worker_task_time_limit_seconds + 2 * self.worker_lease_margin_seconds
