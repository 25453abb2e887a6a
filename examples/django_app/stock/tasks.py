"""What is done with each message. Celery finds this module by `autodiscover_tasks`."""

from typing import Any

from celery import shared_task
from celery.utils.log import get_task_logger
from django.db import OperationalError, transaction
from django.db.models import F

from stock.messages import Delivered
from stock.models import Delivery, Item

log = get_task_logger(__name__)


@shared_task(name="bookDelivery", bind=True, autoretry_for=(OperationalError,), default_retry_delay=2)
def book_delivery(self: Any, delivered: Delivered) -> None:
    """Book a delivery, and have the new quantity announced once that is committed."""
    with transaction.atomic():
        item, _ = Item.objects.get_or_create(sku=delivered.sku)
        _, is_new = Delivery.objects.get_or_create(
            task_id=self.request.id, defaults={"item": item, "quantity": delivered.quantity}
        )
        if is_new:
            Item.objects.filter(pk=item.pk).update(quantity=F("quantity") + delivered.quantity)
        announce_stock.delay_on_commit(item.sku)


@shared_task(name="announceStock")
def announce_stock(sku: str) -> None:
    """Say how much there is. An ordinary Celery task: `book_delivery` starts it, no message does."""
    log.info("%s: %d in stock", sku, Item.objects.get(pk=sku).quantity)
