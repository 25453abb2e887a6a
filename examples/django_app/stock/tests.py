"""The warehouse, without Kafka and Redis: `python manage.py test`."""

from unittest.mock import patch

from django.db import OperationalError
from django.test import TransactionTestCase

import stock.tasks
from ferry_worker.testing import Done, Failed, Invalid, Outcome, Retried, run_message
from stock.models import Delivery, Item
from stock.routes import routes
from warehouse.celery import app

TEA = '{"sku": "tea", "quantity": 3}'


def delivery(value: str, offset: int = 0) -> Outcome:
    """What becomes of a record of the topic `deliveries`."""
    return run_message(routes, "deliveries", value, app=app, offset=offset)


class DeliveryTests(TransactionTestCase):
    """A TestCase would never commit, and so never announce."""

    def test_a_delivery_is_booked_and_announced(self) -> None:
        outcome = delivery(TEA)
        assert isinstance(outcome, Done), outcome
        assert [(sent.task, sent.args) for sent in outcome.sent] == [("announceStock", ("tea",))]
        assert list(Delivery.objects.values_list()) == [("deliveries-0-0", "tea", 3)]

    def test_deliveries_add_up_and_each_counts_once(self) -> None:
        for offset in (0, 1, 1):
            assert isinstance(delivery(TEA, offset), Done)
        assert Item.objects.get(pk="tea").quantity == 6

    def test_a_delivery_of_nothing_becomes_a_dead_letter(self) -> None:
        assert delivery('{"sku": "tea", "quantity": 0}') == Invalid(
            error="invalid: quantity: Input should be greater than 0"
        )

    def test_what_fails_on_the_way_leaves_nothing(self) -> None:
        with patch.object(stock.tasks, "F", side_effect=ValueError("no such field")):
            outcome = delivery(TEA)
        assert isinstance(outcome, Failed), outcome
        assert outcome.error == "ValueError: no such field"
        assert (Item.objects.count(), outcome.sent) == (0, ())

    def test_a_locked_database_is_tried_again(self) -> None:
        with patch.object(stock.tasks, "F", side_effect=OperationalError("database is locked")):
            first = delivery(TEA)
        assert isinstance(first, Retried), first
        assert first.countdown_seconds == 2
        assert isinstance(first.run_again(), Done)
        assert Item.objects.get(pk="tea").quantity == 3
