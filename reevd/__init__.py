"""reevd: a folder of session files, reconciled into SQLite, answered over a Unix socket."""

__version__ = "0.1.0"
