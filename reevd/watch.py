"""The alarm clock: which names of the folder may have changed. A hint and never more.

watchdog's `InotifyFD` is used directly, without its observers: one thread instead of three, our own mask
(our reads must not wake us), no half-second pairing of renames, and a call when the kernel's queue has
overflowed. Its thread only notes a name; whatever else it could tell is found by looking.
"""

from __future__ import annotations

import os
import threading

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor

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
PREFIXES = (b"session_", b"enhanced_otel_", b"otel_")
# Past this many names a scan of the folder is cheaper than looking at each.
STORM = 100_000
CALLBACK = CallbackId(0)


class Watch:
    """Watches one folder. `wake` is written to (an eventfd) when there is something to take.

    Raises OSError from the constructor where inotify cannot be had (limits of the host).
    """

    def __init__(self, folder: int, wake: int) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._names: set[bytes] = set()
        self._lost = self._overflowed = False
        self._inotify = InotifyFD()
        self._inotify.daemon = True
        try:
            # The descriptor's own path: the folder that is open, whatever its name leads to by now.
            self._inotify.add_callback(b"/proc/self/fd/%d" % folder, MASK, self, CALLBACK)
        except OSError:
            self._inotify.close()
            raise
        self._inotify.start()

    def take(self) -> tuple[set[bytes], bool]:
        """The names noted since the last call, and whether events were lost so that all must be looked at."""
        with self._lock:
            names, self._names = self._names, set()
            overflowed, self._overflowed = self._overflowed, False
        return names, overflowed

    @property
    def alive(self) -> bool:
        """False once no further event can come: the thread died, or the folder was removed or unmounted."""
        return self._inotify.is_alive() and not self._lost

    def close(self) -> None:
        self._inotify.stop()
        self._inotify.join(2.0)

    def on_event(self, event: InotifyEvent) -> None:
        """Called by watchdog's thread."""
        if event.name.startswith(PREFIXES):
            with self._lock:
                first = not self._names
                if len(self._names) < STORM:
                    self._names.add(event.name)
                else:
                    self._overflowed = True
            if first:
                os.eventfd_write(self._wake, 1)
        elif event.is_delete_self or event.is_move_self:
            self._lost = True
            os.eventfd_write(self._wake, 1)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:  # noqa: ARG002 - the signature is watchdog's
        self._lost = True
        os.eventfd_write(self._wake, 1)

    def on_queue_overflow(self) -> None:
        with self._lock:
            self._overflowed = True
        os.eventfd_write(self._wake, 1)
