"""What tests send."""

import json


def texts(*numbers: int) -> list[bytes]:
    """Valid messages."""
    return [json.dumps({"text": f"text {number}"}).encode() for number in numbers]
