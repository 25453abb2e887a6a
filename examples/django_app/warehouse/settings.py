"""Django's settings, and with the prefix CELERY_ those of Celery."""

import os

INSTALLED_APPS = ["stock"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("WAREHOUSE_DATABASE", "warehouse.sqlite"),
    }
}
USE_TZ = True

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0")
#: The route's queue: so the worker takes from it without being told.
CELERY_TASK_DEFAULT_QUEUE = "warehouse"
#: Seconds; at most WORKER_TASK_TIME_LIMIT_SECONDS.
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 50
