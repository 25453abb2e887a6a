"""Which topic becomes which task: FERRY_ROUTES=ticket_routes:routes. The consumer imports this: no Flask in here."""

from pydantic import BaseModel

from ferry_shared.routes import Route


class Ticket(BaseModel):
    """Somebody needs something, in the topic `tickets`."""

    customer: str
    text: str


routes = [Route(topic="tickets", message=Ticket, task="openTicket", queue="helpdesk")]
