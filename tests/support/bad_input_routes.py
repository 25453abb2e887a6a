"""Where bad input goes, and what its worker is told by environment variables."""

import os

from pydantic import Field

from ferry_shared.message import Message
from ferry_shared.routes import Route

TASK, OTHER_TASK = "badInput.take", "badInput.other"
TOPIC = "BAD_INPUT_TOPIC"
#: The file into which tasks tell what they got.
RECORD = "BAD_INPUT_RECORD"
#: A message whose text begins with this makes its task fail, with the text in the error.
FAIL = "fail: "


class Tempting(Message):
    """The built-in message and a list of which pydantic alone would tell four errors an item."""

    items: list[int | float | bool | list[int]] = Field(default_factory=list)


routes = [Route(topic=os.environ.get(TOPIC, "bad-input"), message=Tempting, task=TASK)]
