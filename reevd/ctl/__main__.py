"""`python -m reevd.ctl`."""

import sys

from reevd.ctl.main import main

sys.exit(main())
