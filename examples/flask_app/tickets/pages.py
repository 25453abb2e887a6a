"""What can be read."""

from flask import Blueprint

from tickets.database import connection

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def index() -> list[dict[str, str]]:
    """All tickets, as JSON."""
    rows = connection().execute("SELECT customer, text FROM tickets ORDER BY rowid")
    return [{"customer": customer, "text": text} for customer, text in rows]
