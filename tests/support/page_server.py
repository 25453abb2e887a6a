"""The page, served on a free port of this machine by a thread of the test."""

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from ferry_console.local.ports import free_port
from ferry_console.page.access import Access
from ferry_console.page.application import Sources, page_application


@contextlib.contextmanager
def served(sources: Sources, port: int | None = None, token: str | None = None) -> Iterator[str]:
    """Serve while inside; gives the address."""
    port = port or free_port()
    server: uvicorn.Server | None = None
    access = Access(token, frozenset(), f"ferry-console-{port}")
    app = page_application(access, sources, lambda: server is not None and server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=3)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server has ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
