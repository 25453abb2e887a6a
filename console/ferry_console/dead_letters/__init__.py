"""`ferry dead-letters`: what failed for good, as the dead-letter topics have it."""
