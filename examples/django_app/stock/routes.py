"""Which topic becomes which task: FERRY_ROUTES=stock.routes:routes, for consumer and worker."""

from ferry_shared.routes import Route
from stock.messages import Delivered

routes = [Route(topic="deliveries", message=Delivered, task="bookDelivery", queue="warehouse")]
