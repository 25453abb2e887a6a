"""What may stand in a record of each topic."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt


class Item(BaseModel):
    """A line of an order."""

    sku: str
    quantity: PositiveInt = 1


class Order(BaseModel):
    """An order, in the topic `orders`."""

    number: PositiveInt
    items: Annotated[list[Item], Field(min_length=1)]


class Paid(BaseModel):
    """Money for an order has arrived."""

    type: Literal["paid"]
    order: PositiveInt
    cents: PositiveInt


class Refunded(BaseModel):
    """Money for an order was given back."""

    type: Literal["refunded"]
    order: PositiveInt
    cents: PositiveInt
    reason: str = ""


#: In the topic `payments`: the field `type` tells which. A union with a discriminator is checked in one step.
Payment = Annotated[Paid | Refunded, Field(discriminator="type")]
