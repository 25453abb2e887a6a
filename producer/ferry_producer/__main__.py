"""`python -m ferry_producer` is `ferry-producer`."""

import sys

from ferry_producer.cli import main

sys.exit(main())
