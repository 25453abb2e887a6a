"""`python -m ferry_consumer`."""

import sys

from ferry_consumer.cli import main

sys.exit(main())
