"""The project's Celery app, as in Celery's documentation; the line with `track` is what Ferry needs."""

import os

from celery import Celery

from ferry_worker import track

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warehouse.settings")

app = Celery("warehouse")
track(app)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
