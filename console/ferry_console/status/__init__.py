"""`ferry status`: how far each partition of a group is, and whether somebody is at work on it."""
