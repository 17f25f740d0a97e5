"""The table of commands: by what they are for, then by the module that holds them."""

GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "How it stands": {
        "executions": ("status", "list", "show", "wait", "history", "tools"),
        "watch": ("watch",),
    },
    "What it did": {
        "traces": ("trace", "transactions"),
        "flows": ("flow",),
    },
    "Run": {"benchmarks": ("benchmarks",), "runs": ("run", "stop")},
    "Many together": {
        "analytics": ("agents", "compare", "flaky"),
        "export": ("export",),
    },
    "The daemon": {
        "host": ("health", "problems", "sync", "prune", "verify"),
        "doctor": ("doctor",),
        "backup": ("backup",),
    },
    "This program": {"completion": ("completion", "complete")},
}
MODULES = {module: names for group in GROUPS.values() for module, names in group.items()}
HIDDEN = ("complete",)
"""For the scripts of the shells, not for people."""
