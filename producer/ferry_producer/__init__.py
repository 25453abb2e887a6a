"""Ferry's producer: sends messages to a Kafka topic, from a shell or from Python."""
