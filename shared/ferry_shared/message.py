"""The built-in message: one schema for producer, consumer and worker."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from ferry_shared.record import Origin

MAX_TEXT_CHARACTERS = 65_536
#: The longest task id fits: a topic has up to 249 characters, a group up to 200.
MAX_ID_CHARACTERS = 512


Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
MessageId = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]


def _now() -> datetime:
    return datetime.now(UTC)


class Message(BaseModel):
    """A text to print. `text` is all that a foreign producer must send; unknown fields are kept.

    When `id` or `sent_at` is missing, the worker takes the task id and the record's timestamp in their place
    (it validates with the record's `Origin` as context); everybody else gets a new id and the present time.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    text: Text
    id: MessageId = Field(default_factory=lambda: uuid4().hex)
    sent_at: AwareDatetime = Field(default_factory=_now)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_origin(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(info.context, Origin) or not isinstance(data, dict):
            return data
        origin = info.context
        return {"id": origin.task_id.text, "sent_at": origin.timestamp} | data
