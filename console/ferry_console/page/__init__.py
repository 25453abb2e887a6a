"""`ferry console`: one live page on how far a group is, where a message is, and what has failed."""
