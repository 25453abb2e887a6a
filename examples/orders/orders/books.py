"""The shop's books, an SQLite file. Each entry has the id of its task as key, so that a task may run twice."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

TABLES = """
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, number INTEGER, items INTEGER);
CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, number INTEGER, cents INTEGER);
"""


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    # Whoever finds the books locked comes again: a worker has better things to do than to wait.
    with closing(sqlite3.connect(os.environ.get("ORDERS_BOOKS", "books.sqlite"), timeout=0)) as books:
        books.executescript(TABLES)
        with books:
            yield books


def enter_order(entry: str, number: int, items: int) -> None:
    """Enter an order of so many items. Raises sqlite3.OperationalError while the books are locked."""
    with _opened() as books:
        books.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", (entry, number, items))


def enter_payment(entry: str, number: int, cents: int) -> int:
    """Enter what was paid for an order, or less than 0 for what was given back; returns what is paid in all.

    Raises:
        ValueError: more would be given back than was paid.
        sqlite3.OperationalError: the books are locked.
    """
    with _opened() as books:
        books.execute("INSERT OR IGNORE INTO payments VALUES (?, ?, ?)", (entry, number, cents))
        (paid,) = books.execute("SELECT sum(cents) FROM payments WHERE number = ?", (number,)).fetchone()
        if paid < 0:
            raise ValueError(f"order {number}: more would be given back than was paid")
    return int(paid)
