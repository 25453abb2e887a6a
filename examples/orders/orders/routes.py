"""Which topic becomes which task: FERRY_ROUTES=orders.routes:routes, for consumer and worker."""

from ferry_shared.routes import Route
from orders.messages import Order, Payment

routes = [
    Route(topic="orders", message=Order, task="handleOrder", queue="orders"),
    Route(topic="payments", message=Payment, task="bookPayment", queue="payments"),
]
