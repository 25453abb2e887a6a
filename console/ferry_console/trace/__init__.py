"""`ferry trace`: what the ledger, the queue, Kafka and the dead letters say of one message."""
