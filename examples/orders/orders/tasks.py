"""What is done with each message: FERRY_IMPORTS=orders.tasks, for the worker."""

import sqlite3
from typing import Any

from celery.utils.log import get_task_logger

from ferry_worker.celery import app
from orders import books
from orders.messages import Order, Paid, Payment

log = get_task_logger(__name__)


@app.task(name="handleOrder", bind=True, max_retries=5)
def handle_order(self: Any, order: Order) -> None:
    """Enter an order, and have a confirmation sent."""
    try:
        books.enter_order(self.request.id, order.number, sum(item.quantity for item in order.items))
    except sqlite3.OperationalError as locked:
        raise self.retry(exc=locked, countdown=2**self.request.retries) from locked
    confirm_order.delay(order.number)


@app.task(name="confirmOrder")
def confirm_order(number: int) -> None:
    """Say that an order was entered. An ordinary Celery task: `handle_order` starts it, no message does."""
    log.info("order %d is in the books", number)


@app.task(name="bookPayment", bind=True, autoretry_for=(sqlite3.OperationalError,), default_retry_delay=5)
def book_payment(self: Any, payment: Payment) -> int:
    """Enter money that came or went; returns how much is paid for the order."""
    cents = payment.cents if isinstance(payment, Paid) else -payment.cents
    paid = books.enter_payment(self.request.id, payment.order, cents)
    log.info("order %d: %d cents are paid", payment.order, paid)
    return paid
