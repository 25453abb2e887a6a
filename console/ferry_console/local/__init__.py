"""A whole Ferry on one machine: real Kafka and Valkey from packages, and Ferry's own processes beside them."""
