"""`/livez`, `/readyz` and `/metrics`: what an orchestrator and Prometheus ask."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from ferry_consumer.metrics import Metrics

#: A loop that has not turned for this long is stuck: no call inside it may block longer.
STUCK_AFTER_SECONDS = 60.0


class Health:
    """What the loop tells about itself; each field is written by the loop and read by the HTTP threads."""

    def __init__(self) -> None:
        self.last_turn = time.monotonic()
        self.assigned = False
        self.kafka = False
        self.redis = False

    @property
    def alive(self) -> bool:
        """The loop turned lately."""
        return time.monotonic() - self.last_turn < STUCK_AFTER_SECONDS

    @property
    def missing(self) -> list[str]:
        """What keeps the consumer from being ready. A deliberate pause is not among it."""
        checks = {"assignment": self.assigned, "kafka": self.kafka, "redis": self.redis}
        return [name for name, fine in checks.items() if not fine]


class HealthServer:
    """Answers on a thread of its own until it is closed."""

    def __init__(self, host: str, port: int, health: Health, metrics: Metrics) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(health, metrics))
        except OSError as error:
            raise ConfigurationError(
                f"CONSUMER_HTTP_PORT: can't listen on {host}:{port}: {error.strerror}; expected a free port, or 0"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Health, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/livez":
                self._answer(200 if health.alive else 503, b"ok\n" if health.alive else b"the loop is stuck\n")
            elif path == "/readyz":
                missing = health.missing
                self._answer(
                    503 if missing else 200, f"missing: {', '.join(missing)}\n".encode() if missing else b"ok\n"
                )
            elif path == "/metrics":
                self._answer(200, metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
            else:
                self._answer(404, b"expected /livez, /readyz or /metrics\n")

        def _answer(self, code: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: probes come every few seconds."""

    return Handler
