"""The worker: Celery tasks that complete Ferry's ledger.

`celery -A ferry_worker worker` runs Ferry's own app; `track(app)` does the same for an app that already exists.
"""

from ferry_worker.existing_app import track
from ferry_worker.failed_messages import FailedMessages
from ferry_worker.tracked_task import TrackedTask

__all__ = ["FailedMessages", "TrackedTask", "track"]
