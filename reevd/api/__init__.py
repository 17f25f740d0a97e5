"""The API: HTTP over the Unix socket, answered by a process of its own from the database alone."""
