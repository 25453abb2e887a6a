"""`python -m ferry_console`: the same as `ferry`."""

import sys

from ferry_console.cli import main

if __name__ == "__main__":
    sys.exit(main())
