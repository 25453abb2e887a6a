"""The ledger: what is in flight, per consumer group, topic and partition, in the Redis that holds the queue."""
