"""Ferry's consumer: turns each Kafka record into one Celery task and commits its offset when that is done."""
