"""What is done with each message, inside the app's context."""

import sqlite3
from typing import Any

from celery import shared_task
from flask import current_app

from ticket_routes import Ticket
from tickets.database import connection


@shared_task(name="openTicket", bind=True, autoretry_for=(sqlite3.OperationalError,), default_retry_delay=2)
def open_ticket(self: Any, ticket: Ticket) -> None:
    """Enter a ticket; the id of its task is its key, so that the task may run twice."""
    connection().execute(
        "INSERT OR IGNORE INTO tickets VALUES (?, ?, ?)", (self.request.id, ticket.customer, ticket.text)
    )
    current_app.logger.warning("a ticket of %s", ticket.customer)
