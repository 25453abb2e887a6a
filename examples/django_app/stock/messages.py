"""What may stand in a record. The consumer imports this: no Django in here."""

from pydantic import BaseModel, Field, PositiveInt


class Delivered(BaseModel):
    """Goods have arrived, in the topic `deliveries`."""

    sku: str = Field(max_length=40)
    quantity: PositiveInt
