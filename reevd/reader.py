"""Reads the two files of an execution, and of these only what changed since the last look."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from reevd.bounds import Bounds
from reevd.derive import Lock
from reevd.errors import UnreadableError, defect
from reevd.files import Folder, OpenFile
from reevd.fingerprint import Fingerprint
from reevd.lock import held
from reevd.model import Problem
from reevd.names import files_of
from reevd.reading import FileRow, Part, Reading
from reevd.session_file import Session, parse_session
from reevd.tail import Tail

REMEMBERED, REMEMBERED_BYTES = 4_096, 128 << 20
CROWDED = REMEMBERED_BYTES * 3 // 4


class _Memory:
    """What spares reading a file again while its run lives. Losing it costs time, never truth."""

    __slots__ = ("bytes", "more", "session", "session_at", "since", "tail", "torn_since")

    def __init__(self) -> None:
        self.session: Session | str | None = None
        self.session_at: Fingerprint | None = None
        self.torn_since = 0
        self.tail: Tail | None = None
        self.bytes, self.more = 0, False
        self.since: dict[str, tuple[Fingerprint, int]] = {}

    @property
    def consumed(self) -> int:
        """Bytes of telemetry."""
        return self.tail.telemetry.consumed if self.tail else 0


class Reader:
    """Reads from one folder. TransientError passes through: try again.

    taken: bytes that were read so far
    """

    def __init__(self, folder: Folder, bounds: Bounds) -> None:
        self.folder, self.bounds, self.taken = folder, bounds, 0
        self._memory: OrderedDict[str, _Memory] = OrderedDict()
        self._bytes = 0
        # Files with stamps in the future: as what they were seen, and since when. However many there are: who were
        # forgotten here before their next look would never come to rest.
        self._ahead: dict[str, tuple[Fingerprint, int]] = {}

    def forget(self, execution_id: str) -> None:
        """The next look reads everything: what this one found was not stored."""
        memory = self._memory.pop(execution_id, None)
        self._bytes -= memory.bytes if memory else 0

    def _remember(self, execution_id: str, memory: _Memory) -> None:
        """As the newest. The oldest go where there are too many, or where they hold too much.

        Before those that are read in slices, and of these the furthest, or who began first, goes last: else none might
        come to its end.
        """
        tail = memory.tail.held if memory.tail else 0
        memory.bytes = tail + (memory.session_at.size if memory.session_at else 0)
        self._memory[execution_id] = memory
        self._bytes += memory.bytes
        while len(self._memory) > REMEMBERED or (self._bytes > REMEMBERED_BYTES and len(self._memory) > 1):
            whole = next((i for i, known in self._memory.items() if not known.more), None)
            self.forget(whole or min(reversed(self._memory), key=lambda i: self._memory[i].consumed))

    @property
    def _crowded(self) -> bool:
        """Whether those that are read in slices fill it: another would be thrown out before its next one."""
        if self._bytes < CROWDED:
            return False
        # Those that wait for this themselves do not count, or they would for ever.
        return sum(known.bytes for known in self._memory.values() if known.more and known.consumed) >= CROWDED

    def read(
        self,
        execution_id: str,
        stored: Mapping[str, FileRow],
        now: int,
        began_ns: int,
        *,
        ended: bool,
        alone: bool = False,
        afresh: bool = False,
    ) -> Reading:
        """`stored`: what the database knows of the files. `ended`: no more telemetry is expected.

        alone: of its telemetry nothing was heard: it is not looked for. afresh: the session file is read, also where it
        seems to be as it was: what is written through a mapping may move no stamp
        """
        memory = self._memory.get(execution_id) or _Memory()
        if afresh:
            memory.session_at = None
        session_name, *otel_names = files_of(execution_id)
        file, otel = (None, Part(otel_names[0], None)) if alone else self._open_otel(execution_id, otel_names, stored)
        try:
            # The lock is asked before the session file is read: a runner leaves its result, then its lock.
            lock = _lock(file)
            session = self._read_session(memory, execution_id, stored.get(session_name), session_name, now, began_ns)
            torn = isinstance(memory.session, str) and session.again is not None
            memory.torn_since = (memory.torn_since or now) if torn else 0
            if file is None:
                memory.tail = None
            else:
                ended = ended or (isinstance(memory.session, Session) and memory.session.ended)
                again = self._wait(memory, otel.name, file.fingerprint, now, began_ns)
                memory.tail = memory.tail or Tail()
                otel = self._follow(execution_id, memory.tail, otel._replace(again=again), file, ended=ended)
        finally:
            if file is not None:
                self._close(file)
        self.forget(execution_id)
        memory.more = otel.again == 0
        at_rest = session.again is None and otel.again is None
        # Of what has ended, and was read at rest, no more is expected.
        over = at_rest and isinstance(memory.session, Session) and memory.session.ended
        if not over:
            self._remember(execution_id, memory)
        for part in (session, otel) if self._ahead else ():
            if over or part.fingerprint is None:
                self._ahead.pop(part.name, None)
        telemetry = memory.tail.telemetry if memory.tail and otel.fingerprint else None
        return Reading(memory.session, telemetry, session, otel, lock, memory.torn_since)

    def _wait(self, memory: _Memory, name: str, found: Fingerprint, now: int, began_ns: int) -> int | None:
        """Nanoseconds until a reading counts: by the file's stamp, or by how long we saw it as it is.

        The latter is for stamps in the future, which a clock that was set back leaves behind.
        """
        settle_ns, ahead_ns = self.bounds.settle_ns, found.ctime_ns - began_ns
        known = self._ahead if ahead_ns > 0 else memory.since
        if known is not self._ahead:
            self._ahead.pop(name, None)
        seen, since = known.get(name, (None, now))
        if seen != found:
            # It may have changed after the batch began that this is read in.
            known[name] = found, now + min(max(ahead_ns, 0), settle_ns) // 1000
        elif (now - since) * 1000 >= settle_ns:
            return None
        return found.wait(began_ns, settle_ns)

    def _read_session(
        self, memory: _Memory, execution_id: str, old: FileRow | None, name: str, now: int, began_ns: int
    ) -> Part:
        try:
            file = self.folder.open(name, self.bounds.writers)
        except UnreadableError as error:
            # Not the content but the file itself is refused: no waiting will mend it.
            memory.session, memory.session_at = error.message, None
            return Part(name, old, problem=Problem(name, execution_id, error.kind, error.message))
        if file is None:
            memory.session = memory.session_at = None
            return Part(name, old)
        try:
            found = file.fingerprint
            again = self._wait(memory, name, found, now, began_ns)
            # What was read before may not have been stored.
            if memory.session_at == found and old is not None and old.mark is not None and old.fingerprint == found:
                return Part(name, old, found)
            memory.session_at, problem = found, None
            try:
                file.check_size(self.bounds.session_bytes)
                memory.session = parse_session(file.read(0, self.bounds.session_bytes))
            except Exception as error:  # noqa: BLE001 - a defect of ours too is trouble with this one file
                trouble = _trouble(name, error)
                memory.session = trouble.message
                if again is None:
                    problem = Problem(name, execution_id, trouble.kind, trouble.message)
            return Part(name, old, found, again, problem)
        finally:
            self._close(file)

    def _close(self, file: OpenFile) -> None:
        self.taken += file.taken
        file.close()

    def _open_otel(
        self, execution_id: str, names: list[str], stored: Mapping[str, FileRow]
    ) -> tuple[OpenFile | None, Part]:
        known = None
        for name in names:
            old = stored.get(name)
            known = known or old
            try:
                if file := self.folder.open(name, self.bounds.writers):
                    return file, Part(name, old, file.fingerprint)
            except UnreadableError as error:
                return None, Part(name, old, problem=Problem(name, execution_id, error.kind, error.message))
        return None, Part(known.name if known else names[0], known)

    def _follow(self, execution_id: str, tail: Tail, part: Part, file: OpenFile, *, ended: bool) -> Part:
        try:
            file.check_size(self.bounds.otel_bytes)
            if not tail.telemetry.consumed and file.fingerprint.size > self.bounds.budget and self._crowded:
                return part._replace(again=0)
            if tail.follow(file, self.bounds.budget, last=ended and part.again is None):
                return part._replace(again=0)
        except Exception as error:  # noqa: BLE001 - as above
            tail.reset()  # a part would pass for all that there is
            trouble = _trouble(part.name, error)
            return part._replace(problem=Problem(part.name, execution_id, trouble.kind, trouble.message))
        return part


def _trouble(name: str, error: Exception) -> UnreadableError:
    """What is told of a file that could not be read."""
    if isinstance(error, UnreadableError):
        return error
    import structlog  # by whoever is to start fast it is loaded but for this, which nearly never happens

    structlog.get_logger("reevd.reader").error("reading failed inside reevd", path=name, exc_info=error)
    return defect(error)


def _lock(file: OpenFile | None) -> Lock:
    if file is None:
        return "unknown"
    try:
        return "held" if held(file.descriptor) else "free"
    except OSError:  # this file system has no such locks: the deadline still stands
        return "unknown"
