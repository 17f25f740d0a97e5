"""Whose files are read."""

from __future__ import annotations

import pwd
from collections.abc import Sequence


def user_ids(names: Sequence[str], own: int) -> frozenset[int]:
    """Of these users, of root and of `own`, the daemon's; none where no user is named: everyone's files are read.

    Raises KeyError for a user that is not known. A number is an id.
    """
    ids = [int(name) if name.isascii() and name.isdigit() else pwd.getpwnam(name).pw_uid for name in names]
    return frozenset((0, own, *ids)) if ids else frozenset()
