"""An SQLite file: one connection an app context, committed at its end."""

import sqlite3

from flask import Flask, current_app, g

TABLE = "CREATE TABLE IF NOT EXISTS tickets (task_id TEXT PRIMARY KEY, customer TEXT, text TEXT)"

#: How long a connection waits for others to finish.
WAIT_SECONDS = 5.0


def connection() -> sqlite3.Connection:
    """The connection of this app context."""
    if "connection" not in g:
        g.connection = sqlite3.connect(current_app.config["DATABASE"], timeout=WAIT_SECONDS)
        g.connection.execute(TABLE)
    found: sqlite3.Connection = g.connection
    return found


def init_app(app: Flask) -> None:
    """Have connections closed."""
    app.teardown_appcontext(_close)


def _close(error: BaseException | None) -> None:
    if (open_one := g.pop("connection", None)) is not None:
        if error is None:
            open_one.commit()
        open_one.close()
