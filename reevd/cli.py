"""The command `reevd`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from reevd import config, log
from reevd.errors import ConfigError, ReevdError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 stopped as asked; 1 a failure, said on stderr; 2 usage."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        settings = config.load(given, os.environ)
        log.configure(settings.log_format)
        from reevd.daemon import run  # after the arguments: --help needs no daemon

        return run(settings, lambda: config.load(given, os.environ))
    except ReevdError as error:
        print(f"Error: {error}", file=sys.stderr)
        if error.hint:
            print(f"Try: {error.hint}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


if __name__ == "__main__":
    sys.exit(main())
