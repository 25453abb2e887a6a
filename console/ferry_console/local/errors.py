"""What can go wrong with the local system."""


class LocalSystemError(Exception):
    """A part of the local system cannot start, or ended; the message says which, why, and what to do."""


class PortTaken(LocalSystemError):
    """Another program listens on the port, though it was free when it was chosen."""
