"""Settings: read from the environment and from `.env`, checked once, at start.

Each field is the environment variable of the same name in capitals. An empty variable counts as not set.
`.env` in the working directory is read when it exists; `FERRY_ENV_FILE` names another file.
"""

from ferry_shared.settings.consumer import ConsumerSettings
from ferry_shared.settings.kafka import KafkaSettings
from ferry_shared.settings.loading import Examined, env_file, examine, load, names_given
from ferry_shared.settings.logs import LogSettings
from ferry_shared.settings.producer import ProducerSettings
from ferry_shared.settings.redis import REDIS_SCHEMES, RedisSettings
from ferry_shared.settings.routing import RouteSettings, RoutingSettings
from ferry_shared.settings.section import Settings
from ferry_shared.settings.worker import SOFT_SHARE, WorkerSettings

__all__ = [
    "REDIS_SCHEMES",
    "SOFT_SHARE",
    "ConsumerSettings",
    "Examined",
    "KafkaSettings",
    "LogSettings",
    "ProducerSettings",
    "RedisSettings",
    "RouteSettings",
    "RoutingSettings",
    "Settings",
    "WorkerSettings",
    "env_file",
    "examine",
    "load",
    "names_given",
]
