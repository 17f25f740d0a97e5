"""Removes executions for good: their files, and all that stands of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reevd.agenda import Agenda
from reevd.books import Books
from reevd.files import Folder
from reevd.fingerprint import Fingerprint
from reevd.names import files_of
from reevd.reading import Known


class Removal(NamedTuple):
    """Which executions went, with how many bytes of files, and which stayed, with the reason."""

    executions: list[str]
    bytes: int
    kept: dict[str, str]


def remove(books: Books, folder: Folder, agenda: Agenda, execution_ids: Sequence[str], *, dry: bool) -> Removal:
    """The files go first, so that what is cut short comes back and goes again. A dry one removes nothing.

    One whose files are not as they were read stays, and is to be looked at. Raises StoringError, and apsw.Error for a
    damaged database
    """
    known = books.store.known(execution_ids)
    going, kept, size = list[str](), dict[str, str](), 0
    for execution_id in execution_ids:
        names = files_of(execution_id)
        try:
            found = [(name, folder.fingerprint(name)) for name in names]
            if not _as_read(found, known):
                agenda.add([execution_id])
                kept[execution_id] = "its files changed since they were read, or cannot be read"
                continue
            for name in () if dry else names:
                folder.remove(name)
        except OSError as error:
            kept[execution_id] = f"its files cannot be removed: {error.strerror}: see the folder's owner and mode"
            continue
        going.append(execution_id)
        size += sum(f.size for _, f in found if f)
    if going and not dry:
        books.reconciler.forget(going)
    return Removal(going, size, kept)


def _as_read(found: Sequence[tuple[str, Fingerprint | None]], known: Known) -> bool:
    """Of telemetry, the first is read, and what an older writer left beside it is not."""
    session, *otel = found
    read = (session, *[file for file in otel if file[1]][:1])
    return all(f is None or (name in known.files and known.files[name].fingerprint == f) for name, f in read)
