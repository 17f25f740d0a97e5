"""What the one writer says to SQLite."""

from __future__ import annotations

from reevd.fingerprint import Fingerprint
from reevd.model import Execution
from reevd.names import files_of
from reevd.schema import COLUMNS

SELECT = f"SELECT {COLUMNS} FROM execution_states"
STANDING = f"{SELECT} WHERE execution_id IN (SELECT value FROM json_each(?))"
INSERT = f"INSERT INTO execution_states (change, {COLUMNS}) VALUES (?{',?' * len(Execution._fields)})"
INSERT_CALL = "INSERT OR REPLACE INTO tool_calls VALUES (?,?,?,?,?,?,?,?,?)"
INSERT_FILE = "INSERT OR REPLACE INTO files VALUES (?,?,?,?,?,?,?)"
# Names put together by SQLite: 'session_' || value || '.json'. It would make a table of each list of them.
NAMES = [f"'{name}'" for name in files_of("' || value || '")]
STAND = (
    "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM execution_states WHERE execution_id = value)"
    " OR EXISTS (SELECT 1 FROM decisions WHERE execution_id = value)"
    f" OR {' OR '.join(f'EXISTS (SELECT 1 FROM files WHERE name = {name})' for name in NAMES)}"
    f" OR (EXISTS (SELECT 1 FROM problems) AND EXISTS (SELECT 1 FROM problems WHERE path IN ({', '.join(NAMES)})))"
)
LATE = (
    "SELECT execution_id FROM execution_states WHERE deadline_at IS NOT NULL"
    " AND unixepoch(deadline_at) > min(unixepoch(news_at) + ?, unixepoch(began_at) + ?)"
)
CHANGED_SINCE = (
    "SELECT execution_id FROM execution_states WHERE change > ? AND execution_id IN (SELECT value FROM json_each(?))"
)
READ_OF_FILE = ", ".join(f"files.{column}" for column in ("name", *Fingerprint._fields))
UNSETTLED = f"SELECT {READ_OF_FILE} FROM files WHERE mark IS NULL"
READ_SINCE = (
    "WITH changed (value) AS (SELECT execution_id FROM execution_states WHERE change > ?)"
    f" SELECT {READ_OF_FILE}, mark FROM changed CROSS JOIN files ON name IN ({', '.join(NAMES)})"
)

# Numbers go on where the newest rows were removed: readers ask for what came after the one they know.
REMOVED = "SELECT coalesce(max(value), 0) FROM meta WHERE key = 'change'"
LAST = f"SELECT max(coalesce(max(change), 0), ({REMOVED})) FROM execution_states"
