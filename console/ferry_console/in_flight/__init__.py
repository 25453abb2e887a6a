"""`ferry in-flight`: what is dispatched and not yet ended, by the ledger."""
