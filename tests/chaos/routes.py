"""The route of the chaos runs."""

from ferry_shared.routes import Route
from tests.chaos.messages import ChaosMessage

TOPIC = "chaos"
QUEUE = "celery"
routes = [Route(topic=TOPIC, message=ChaosMessage, task="chaos", queue=QUEUE)]
