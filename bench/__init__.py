"""Measurements against what people use today; peers and Ferry side by side in one run."""
