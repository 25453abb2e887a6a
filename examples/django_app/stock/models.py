"""The tables."""

from django.db import models


class Item(models.Model):
    """What there is of one article."""

    sku = models.CharField(max_length=40, primary_key=True)
    quantity = models.PositiveIntegerField(default=0)


class Delivery(models.Model):
    """A delivery that is booked. The id of its task is its key, so that the task may run twice."""

    task_id = models.CharField(max_length=300, primary_key=True)
    item = models.ForeignKey(Item, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField()
