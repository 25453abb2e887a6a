"""What `celery -A make_celery worker` starts."""

from tickets import create_app

flask_app = create_app()
celery_app = flask_app.extensions["celery"]
