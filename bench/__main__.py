"""`python -m bench NAME`: run one of the measurements."""

import argparse
import sys

from bench import latency


def main() -> int:
    """Run the named measurement."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Ferry against its peers.")
    parser.add_argument("name", choices=["latency"], help="latency: produce to task start, against a plain loop")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second (100)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round (10)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each, alternating (5)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    arguments = parser.parse_args()
    return latency.run(arguments.rate, arguments.seconds, arguments.rounds, as_json=arguments.json)


sys.exit(main())
