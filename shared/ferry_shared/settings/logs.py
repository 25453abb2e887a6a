"""Settings of the logs."""

from typing import Literal

from pydantic import Field

from ferry_shared.settings.section import Settings


class LogSettings(Settings):
    """What the logs look like."""

    log_format: Literal["plain", "json"] = Field("plain", description="plain (for people) or json (one object a line).")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_message_text: Literal["full", "truncate", "off"] = Field(
        "full", description="How much of a message's text is logged: full, truncate (200 characters) or off."
    )
    ferry_log_config: str = Field(
        "", description="Your own logging_config.json (logging.config.dictConfig); empty: the packaged one."
    )
