"""The command `ferry doctor`: everything that a system of Ferry's needs, looked at once and judged."""
