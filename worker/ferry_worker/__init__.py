"""Ferry's worker: the Celery app that runs the tasks and records their outcome in the ledger."""
