"""The alarm clock: which names of the folder may have changed. A hint and never more.

Only watchdog's bindings of inotify are used, without its threads: the engine itself waits for the descriptor,
so that nothing can die unseen, no event waits half a second for the other half of a rename, and of a storm of
events each costs a microsecond instead of twenty. Own mask: our reads must not wake us.
"""

from __future__ import annotations

import ctypes
import os
import struct

from watchdog.observers.inotify_c import InotifyConstants, Mask, inotify_add_watch, inotify_init

MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
ENDED = (
    InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_UNMOUNT
    | InotifyConstants.IN_IGNORED
)
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name with its padding
BUFFER = 1 << 18
# As much as the kernel's queue holds by default. What is left is taken the next time.
READS = 8


class Watch:
    """Watches one folder. `descriptor` is readable when there is something to take.

    Raises OSError from the constructor where inotify cannot be had (limits of the host).
    """

    def __init__(self, folder: int) -> None:
        self.alive = True
        # Kept: to make and give back so large a piece of memory takes longer than to read what came.
        self._buffer = bytearray(BUFFER)
        self.descriptor = inotify_init()
        if self.descriptor < 0:
            raise _error("inotify_init")
        os.set_blocking(self.descriptor, False)
        os.set_inheritable(self.descriptor, False)
        # The descriptor's own path: the folder that is open, whatever its name leads to by now.
        if inotify_add_watch(self.descriptor, b"/proc/self/fd/%d" % folder, MASK) < 0:
            error = _error("inotify_add_watch")
            os.close(self.descriptor)
            raise error

    def take(self) -> tuple[set[bytes], bool]:
        """The names noted since the last call, and whether events were lost so that all must be looked at.

        `alive` becomes false once no further event can come: the folder was removed, moved or unmounted.
        """
        names: set[bytes] = set()
        masks = 0
        for _ in range(READS):
            try:
                length = os.readv(self.descriptor, [self._buffer])
            except BlockingIOError:
                break
            masks |= _collect(bytes(memoryview(self._buffer)[:length]), names)
            if length < BUFFER // 2:
                break  # that was all; what came meanwhile makes the descriptor ready again
        if masks & ENDED:
            self.alive = False
        return names, bool(masks & InotifyConstants.IN_Q_OVERFLOW)

    def close(self) -> None:
        os.close(self.descriptor)


def _collect(data: bytes, names: set[bytes]) -> int:
    """Adds the names of a buffer of events. Returns all of their masks."""
    masks = at = 0
    last = b""
    unpack, size = EVENT.unpack_from, EVENT.size
    while at < len(data):
        _, mask, _, length = unpack(data, at)
        at += size + length
        masks |= mask
        padded = data[at - length : at]
        if padded != last:  # a file that is written to causes the same event again and again
            names.add(padded.rstrip(b"\0"))
            last = padded
    names.discard(b"")
    return masks


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{os.strerror(number)} ({call})")
