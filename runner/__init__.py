"""reev-runner: executes one benchmark for real and leaves its two files in the sessions folder."""

__version__ = "0.1.0"
