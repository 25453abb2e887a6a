"""The same work as `bench.peers`, by Ferry."""
