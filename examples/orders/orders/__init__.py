"""A small shop: what arrives in the topics `orders` and `payments` ends up in its books."""
