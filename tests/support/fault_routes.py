"""Where the messages of the fault tests go, and what their consumers and workers are told by environment variables."""

import os

from ferry_shared.message import Message
from ferry_shared.routes import Route

TASK = "faults.run"
TOPIC = "FAULT_TOPIC"
#: The file into which tasks tell what they did.
RECORD = "FAULT_RECORD"
#: How long a task takes.
SECONDS = "FAULT_SECONDS"
#: While there is a file of this name no task ends.
HOLD = "FAULT_HOLD"

routes = [Route(topic=os.environ.get(TOPIC, "faults"), message=Message, task=TASK)]
