"""The usual way: a `poll` + `.delay()` loop with a stock Celery worker."""
