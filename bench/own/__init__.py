"""The same work as `bench.plain`, by Ferry."""
