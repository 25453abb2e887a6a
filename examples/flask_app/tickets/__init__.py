"""A help desk: what arrives in the topic `tickets` can be read at `/`."""

import os
from collections.abc import Mapping
from typing import Any

from celery import Celery, Task
from flask import Flask

from ferry_worker import track
from tickets import database, pages


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the app."""
    app = Flask(__name__)
    app.config.from_mapping(
        DATABASE=os.environ.get("TICKETS_DATABASE", "tickets.sqlite"),
        CELERY={
            "broker_url": os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"),
            # The route's queue: so the worker takes from it without being told.
            "task_default_queue": "helpdesk",
        },
    )
    app.config.from_mapping(config)
    database.init_app(app)
    app.register_blueprint(pages.blueprint)
    celery_init_app(app)
    return app


def celery_init_app(app: Flask) -> Celery:
    """Make its Celery app, as in Flask's documentation; the line with `track` is what Ferry needs."""

    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask, include=["tickets.tasks"])
    track(celery_app)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app
