"""The feed: what has ended, told to others: forwarded as traces, announced by a command or a webhook."""
