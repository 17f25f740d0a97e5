"""The executor: runs that somebody asked for, each a process of its own, never more at once than there are slots."""
