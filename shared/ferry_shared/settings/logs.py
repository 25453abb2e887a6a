"""Settings of the logs."""

from typing import Literal

from pydantic import Field

from ferry_shared.settings.section import Settings


class LogSettings(Settings):
    """What the logs look like."""

    log_format: Literal["plain", "json"] = Field(
        "plain", description="Lines for people (plain), or one JSON object a line (json)."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level of Ferry's own lines that is logged."
    )
    log_message_text: Literal["full", "truncate", "off"] = Field(
        "full", description="How much of a message's text is logged; truncate: 200 characters."
    )
    ferry_log_config: str = Field(
        "", description="Your own logging_config.json (logging.config.dictConfig); empty: the packaged one."
    )
