"""The files between runner and daemon, as JSON Schema."""
