"""Where Apache Kafka comes from: Maven artifacts resolved by jgo, in pure Python, into its cache under the home."""

import os
from collections.abc import Callable
from pathlib import Path

from ferry_console.local.errors import LocalSystemError

KAFKA_VERSION = "4.3.1"
KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Kafka logs through slf4j 1.7 and ships log4j-core, but its artifact names no binding between them. The binding is
# resolved by itself: together with Kafka, its parent's version table would replace kafka-clients by an older one.
LOG4J_VERSION = "2.25.4"
LOG_BINDING = f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}"


def class_path(before_download: Callable[[], None] = lambda: None) -> str:
    """Kafka's Java class path; calls `before_download` first if artifacts must be downloaded (45 MB, once).

    Raises `LocalSystemError` if they cannot be.
    """
    cache = Path(os.environ.get("JGO_CACHE_DIR") or Path.home() / ".cache" / "jgo")
    resolved = cache / f"ferry-kafka-{KAFKA_VERSION}-log4j-{LOG4J_VERSION}.classpath"
    if resolved.exists():
        known = resolved.read_text()
        if all(Path(entry.removesuffix("/*")).exists() for entry in known.split(":")):
            return known
    before_download()
    found = _resolve(cache)
    resolved.write_text(found)
    return found


def _resolve(cache: Path) -> str:
    import jgo  # noqa: PLC0415 - takes 0.3 s to import, and is needed once

    # Whatever jgo's HTTP client, its parsers or the file system raise means the same here.
    try:
        kafka = Path(jgo.build(KAFKA, cache_dir=cache).path)
        binding = Path(jgo.build(LOG_BINDING, cache_dir=cache).path)
    except Exception as error:
        raise LocalSystemError(
            f"Apache Kafka {KAFKA_VERSION} could not be downloaded from Maven Central ({type(error).__name__}: "
            f"{error}); check the network, and REQUESTS_CA_BUNDLE if a proxy has its own certificates, and run it again"
        ) from error
    log_binding = next(binding.rglob("log4j-slf4j-impl-*.jar"), None)
    if log_binding is None or not any((kafka / "modules").glob("kafka-clients-*.jar")):
        raise LocalSystemError(f"the download of Apache Kafka is incomplete: remove {kafka} and run it again")
    return f"{kafka}/jars/*:{kafka}/modules/*:{log_binding}"
