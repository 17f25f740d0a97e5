"""`python -m runner`: the runner straight from a checkout."""

import sys

from runner.cli import main

sys.exit(main(mode="checkout"))
