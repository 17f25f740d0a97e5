"""The command `reevctl`. It talks to the socket and imports little, so that a command starts at once."""
