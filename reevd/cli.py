"""The command `reevd`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from reevd import config, log
from reevd.errors import ConfigError, ReevdError, SchemaError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 stopped as asked; 1 a failure, said on stderr; 2 usage, or a newer database."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if given[:1] == ["restore"]:
            return _restore(list(given[1:]))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # until the daemon can hear it: one kept is one heard
        settings = config.load(given, os.environ)
        log.configure(settings.log_format)
        from reevd.daemon import run  # after the arguments: --help needs no daemon
        from reevd.restoring import finish

        finish(settings.database)
        return run(settings, lambda: config.load(given, os.environ))
    except ReevdError as error:
        print(f"Error: {error}", file=sys.stderr)
        if error.hint:
            print(f"Try: {error.hint}", file=sys.stderr)
        # 2: what a new start does not mend
        return 2 if isinstance(error, ConfigError | SchemaError) else 1


def _restore(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="reevd restore",
        description="Puts a backup in the place of the database, which is moved aside. Stop the daemon first.",
        epilog="Then start the daemon: what the files of the sessions folder say comes on top of the backup.",
    )
    parser.add_argument("file", metavar="FILE", help="what `reevctl backup FILE` made")
    for name in ("config", "database"):
        parser.add_argument(f"--{name}", metavar="FILE", help=f"as of `reevd --{name}`")
    asked = parser.parse_args(given)
    flags = [
        part for name in ("config", "database") if (value := getattr(asked, name)) for part in (f"--{name}", value)
    ]
    settings = config.load(flags, os.environ)
    from reevd.restoring import place, put_back

    log.silence()
    database = place(settings.database, named=bool(asked.database or settings.database != config.DATABASE))
    aside = put_back(asked.file, database)
    print(f"{database} is {asked.file} now" + (f"; what stood there is {aside}" if aside else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
