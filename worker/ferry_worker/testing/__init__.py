"""Try routes and tasks without any server: for the tests of those who write them.

`run_message` takes one message the way that it would take in production: the consumer's check with the route's model,
the same Celery message, the same tracked task under Celery's own tracer. Only Kafka, Redis and the ledger in it are
left out; what the task recorded in the ledger is the outcome. `run_messages` takes several, as one batch.
"""

from ferry_worker.testing.batches import run_messages
from ferry_worker.testing.outcomes import Done, Failed, Invalid, Outcome, Requeued, Retried, Sent
from ferry_worker.testing.running import run_message

__all__ = ["Done", "Failed", "Invalid", "Outcome", "Requeued", "Retried", "Sent", "run_message", "run_messages"]
