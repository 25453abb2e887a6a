"""What Ferry's services share: settings, the message, records and task ids, routes, the ledger, logs."""

__version__ = "0.1.0"
