"""`ferry demo`: messages through the whole system, each accounted for."""
