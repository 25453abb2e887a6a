"""Time limits of a worker that a test can wait for, and that a busy machine still keeps."""

#: Hard limit 5 s, claim 10 s.
SHORT_LIMITS = {
    "WORKER_TASK_TIME_LIMIT_SECONDS": "5",
    "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": "5",
    "WORKER_LEASE_MARGIN_SECONDS": "5",
}
#: What the worker derives from them: a killed one's messages come back after this.
VISIBILITY_TIMEOUT_SECONDS = 15.0
