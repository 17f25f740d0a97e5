"""The breaks: one exact text of one file each, and the cheapest tests and programs that must notice."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """targets: pytest ids or programs, run until one fails. patience: seconds after which a test counts as hung."""

    name: str
    file: str
    old: str
    new: str
    targets: tuple[str, ...]
    patience: int = 30


CHAOS = "tests.chaos --schedules 60 --jobs 2 --seed 1"
FAULTS = "tests.faults --faults 300 --jobs 2"
WATCHING = "tests/integration/test_watching.py::test_"
DEFENCES = "tests/integration/test_defences.py::test_"
SURVEY = "tests/unit/test_survey.py::test_"
AHEAD = "tests/integration/test_readahead.py::test_"
ENDURANCE = "tests/integration/test_endurance.py::test_"
TRANSCRIPT = "tests/integration/test_transcript.py::test_"
TURNS = "tests/integration/test_turns.py::test_"
CLOCK = "tests/integration/test_clock.py::test_"
UNSEEN = "tests/integration/test_unseen.py::test_"
DATABASE = "tests/integration/test_database.py::test_"
REFUSED = "tests/integration/test_hostile.py::test_what_is_no_plain_file_is_refused_and_heals"
KEPT = "    return not (isinstance(reading.session, Session) and _better(reading.session, previous))\n"

MUTANTS = (
    # -- reading what is written meanwhile --------------------------------------------------------------------
    Mutant(
        "no settle",
        "reevd/fingerprint.py",
        "        return None if age >= settle_ns else settle_ns - max(age, 0)\n",
        "        return None\n",
        (DEFENCES + "bytes_that_arrive_after_their_time_stamp_are_seen",),
    ),
    Mutant(
        "what was read but not stored counts as stored",
        "reevd/reader.py",
        " and old.mark is not None and old.fingerprint == found:",
        " and old.mark is not None:",
        (TURNS + "who_gave_way_is_read_again_as_if_nobody_had_looked",),
    ),
    Mutant(
        "telemetry read half is thrown out as it comes",
        "reevd/reader.py",
        "self.forget(whole or min(reversed(self._memory), key=lambda i: self._memory[i].consumed))",
        "self.forget(next(iter(self._memory)))",
        (TURNS + "telemetry_that_is_larger_than_what_is_remembered_is_read_to_its_end",),
    ),
    Mutant(
        "second looks always give way",
        "reevd/patrol.py",
        "PATIENCE = 4\n",
        "PATIENCE = 1 << 40\n",
        (TURNS + "second_looks_are_taken_however_much_news_comes",),
    ),
    Mutant(
        "a clock followed before the deadlines are",
        "reevd/books.py",
        "                self._clock.base = before  #",
        "                #",
        (CLOCK + "a_clock_that_is_set_while_the_disk_is_full_moves_none_either",),
    ),
    Mutant(
        "a journal that is never looked at again",
        "reevd/journal.py",
        "            return not self._spoilt and _state(os.stat(self.path)) == self._left\n",
        "            return True\n",
        (TRANSCRIPT + "a_journal_that_is_spoilt_is_made_anew",),
    ),
    Mutant(
        "a spoilt journal that only memory knows of",
        "reevd/journal.py",
        "        return LOST if self._spoilt else self.size\n",
        "        return self.size\n",
        (TRANSCRIPT + "killed_before_it_is_anew_the_next_start_makes_it_anew",),
    ),
    Mutant(
        "what comes while the journal is made anew is not in it",
        "reevd/transcript.py",
        "        journal.copy_to(self._new.descriptor)\n",
        "        journal.copy_to(__import__('os').open('/dev/null', 1))\n",
        (TRANSCRIPT + "what_happens_while_it_is_made_anew_is_in_it",),
    ),
    Mutant(
        "live runs before all others, always",
        "reevd/agenda.py",
        "TURNS = 4\n",
        "TURNS = 1 << 60\n",
        ("tests/unit/test_agenda.py::test_thousands_that_are_urgent_come_in_turn_and_keep_nobody_waiting",),
    ),
    Mutant(
        "mtime-only fingerprint",
        "reevd/fingerprint.py",
        '''\
    return hash((crc32(name.encode("utf-8", "surrogateescape")), *fields))


def marks(names: Sequence[str], found: Sequence[Any]) -> list[int]:
    """The marks of files in these states (`os.stat_result`), without a record for each of what may be a million."""
    return [
        hash((crc32(n.encode("utf-8", "surrogateescape")), s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
''',
        '''\
    return hash((crc32(name.encode("utf-8", "surrogateescape")), fields[3]))


def marks(names: Sequence[str], found: Sequence[Any]) -> list[int]:
    """The marks of files in these states (`os.stat_result`), without a record for each of what may be a million."""
    return [
        hash((crc32(n.encode("utf-8", "surrogateescape")), s.st_mtime_ns))
''',
        (DEFENCES + "a_file_with_its_old_time_is_read_all_the_same",),
    ),
    Mutant(
        "offset-only tail",
        "reevd/tail.py",
        """\
        if self._finished or (last and not self._reading_last) or not self._continues(file):
            self.reset()
        self._reading_last = last
        if self._first is None:
            self._first = file.fingerprint
        seen = len(self._window)
""",
        """\
        if self._finished or file.fingerprint.size < self.telemetry.consumed:
            self.reset()
        seen, self._window = 0, b""
""",
        (DEFENCES + "telemetry_that_was_written_anew_is_read_anew",),
    ),
    Mutant(
        "a change since a look began taken for seen",
        "reevd/rescan.py",
        "        return found is not None and found.ctime_ns < stamp\n",
        "        return found is not None\n",
        (SURVEY + "who_is_looked_at_just_now_is_no_news_unless_it_changed_since",),
    ),
    Mutant(
        "any file taken for the one that was read",
        "reevd/rescan.py",
        "        met = self._awaited.intersection(marks)\n",
        "        met = set(marks) if self._awaited else set()\n",
        (SURVEY + "who_was_read_while_it_scanned_is_no_news",),
    ),
    Mutant(
        "unterminated line counted",
        "reevd/tail.py",
        "        if last and not more:\n",
        "        if not more:\n",
        (DEFENCES + "a_line_counts_once_its_newline_is_there",),
    ),
    # -- files of strangers -----------------------------------------------------------------------------------
    Mutant(
        "symlinks followed",
        "reevd/files.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDONLY | os.O_NONBLOCK",
        (DEFENCES + "a_name_that_is_swapped_at_the_last_moment_is_refused[link]",),
    ),
    Mutant(
        "FIFO blocks",
        "reevd/files.py",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDONLY | os.O_NOFOLLOW",
        (DEFENCES + "a_name_that_is_swapped_at_the_last_moment_is_refused[special]",),
        patience=5,
    ),
    Mutant(
        "no descriptor taken for no file",
        "reevd/files.py",
        "dir_fd=self.descriptor)\n        except FileNotFoundError:\n            return None\n",
        "dir_fd=self.descriptor)\n        except OSError:\n            return None\n",
        (DEFENCES + "without_descriptors_no_file_counts_as_gone",),
    ),
    Mutant(
        "problem never solved",
        "reevd/weigh.py",
        "    solved: tuple[str, ...] = files_of(execution_id)\n",
        "    solved: tuple[str, ...] = ()\n",
        (REFUSED + "[folder-special-session_x.json]",),
    ),
    # -- reading ahead ----------------------------------------------------------------------------------------
    Mutant(
        "look ahead stored over what stands",
        "reevd/reconciler.py",
        "            ahead = ahead.without(self._store.standing([row[0] for row in ahead.executions]))\n",
        "            pass\n",
        (AHEAD + "what_is_known_is_looked_at_as_ever",),
    ),
    Mutant(
        "news of what is looked at ahead swallowed",
        "reevd/patrol.py",
        "        ahead = ahead.without(set(asked).intersection(batch))  # there is news of them since that look\n",
        "",
        (AHEAD + "news_of_what_is_looked_at_ahead_is_not_swallowed",),
    ),
    Mutant(
        "telemetry that was news before is not looked for",
        "reevd/patrol.py",
        "            alone.difference_update(asked, self._ahead.asked)\n",
        "",
        (AHEAD + "telemetry_that_was_news_before_is_looked_for_though_only_the_session_file_is_news_since",),
    ),
    Mutant(
        "trouble is over for who did not look",
        "reevd/reconciler.py",
        " and all(n.isdisjoint(files_of(i)) for n in names)}\n",
        "}\n",
        (WATCHING + "trouble_with_telemetry_stands_where_only_the_session_file_is_news",),
    ),
    Mutant(
        "look ahead stored though the engine has looked since",
        "reevd/patrol.py",
        "        self._ahead.outdate(batch)\n",
        "",
        (AHEAD + "what_the_engine_has_looked_at_meanwhile_is_newer",),
    ),
    Mutant(
        "removal leaves a look ahead to bring it back",
        "reevd/patrol.py",
        "        self._recall()  # what was found before they went must not be stored after it\n",
        "",
        (AHEAD + "what_was_removed_meanwhile_does_not_come_back",),
    ),
    Mutant(
        "what a dead reader was asked for is forgotten",
        "reevd/readahead.py",
        "            self._fail(error, now)\n        self.waited =",
        "            self._fail(error, now)\n            return (), NO_FIRST_LOOKS\n        self.waited =",
        (AHEAD + "the_process_that_reads_ahead_may_die_or_hang",),
    ),
    # -- watching ---------------------------------------------------------------------------------------------
    Mutant(
        "overflow ignored",
        "reevd/engine.py",
        "        self._survey.wanted |= news.lost\n",
        "",
        (DEFENCES + "what_an_overflow_swallowed_is_found",),
    ),
    Mutant(
        "rescan timer never fires",
        "reevd/survey.py",
        "            self.wanted |= now - self.last.ended_at >= max(pause, 10 * self.last.took)\n",
        "            pass\n",
        (WATCHING + "a_lost_event_is_made_good_by_the_timer",),
    ),
    Mutant(
        "dead watch trusted",
        "reevd/watch.py",
        "        if masks & ENDED:\n            self.alive = False\n",
        "",
        (WATCHING + "a_replaced_folder_is_followed",),
    ),
    Mutant(
        "folder's path trusted",
        "reevd/lookout.py",
        "        self._in_place = self.folder.in_place()\n",
        "        self._in_place = True\n",
        (DEFENCES + "a_folder_that_was_replaced_with_its_parent_is_followed",),
    ),
    # -- judging ----------------------------------------------------------------------------------------------
    Mutant(
        "ready before the first scan",
        "reevd/engine.py",
        "        if not self.ready and self.scans and self.idle:\n",
        "        if not self.ready:\n",
        (DEFENCES + "ready_means_that_the_first_scan_is_stored",),
    ),
    Mutant(
        "verdicts before the first scan",
        "reevd/patrol.py",
        "may_judge=self.judges",
        "may_judge=True",
        (DEFENCES + "no_verdict_is_spoken_before_the_first_scan_is_stored",),
    ),
    Mutant(
        "verdict beats a late result",
        "reevd/derive.py",
        "    if session and session.result:\n        result = session.result\n",
        """\
    for verdict in evidence.decisions:
        if verdict.kind in VERDICTS:
            return _State(VERDICTS[verdict.kind], verdict.reason, verdict.at, verdict.reason)
    if session and session.result:
        result = session.result
""",
        (DEFENCES + "a_result_that_comes_after_the_verdict_wins",),
    ),
    Mutant(
        "result dropped with its file",
        "reevd/weigh.py",
        KEPT,
        "    return isinstance(reading.session, Session) and not _better(reading.session, previous)\n",
        (WATCHING + "a_removed_folder_is_made_again_and_nothing_is_forgotten",),
    ),
    Mutant(
        "an end that was read once goes back",
        "reevd/weigh.py",
        KEPT,
        "    return not isinstance(reading.session, Session)\n",
        (ENDURANCE + "who_saw_it_ended_never_sees_it_run_again",),
    ),
    Mutant(
        "result not archived as its file goes",
        "reevd/weigh.py",
        "    return settled or left\n",
        "    return settled\n",
        (DEFENCES + "a_result_whose_file_went_at_once_outlives_the_database",),
    ),
    # -- storing ----------------------------------------------------------------------------------------------
    Mutant(
        "split transaction",
        "reevd/store.py",
        "        self.db.executemany(statements.INSERT, ",
        '        self.db.execute("COMMIT")\n        self.db.execute("BEGIN IMMEDIATE")\n'
        "        self.db.executemany(statements.INSERT, ",
        (CHAOS,),
    ),
    Mutant(
        "files' marks before the rows",
        "reevd/store.py",
        "        with self.transaction():\n            self.replace_executions(executions)\n",
        "        with self.transaction():\n            self._replace_files(changes)\n"
        "        with self.transaction():\n            self.replace_executions(executions)\n",
        (DEFENCES + "a_file_whose_row_was_not_stored_is_looked_at_again",),
    ),
    Mutant(
        "journal's mark before the rows",
        "reevd/store.py",
        "        with self.transaction():\n            self.replace_executions(executions)\n",
        "        if journal_size is not None:\n            with self.transaction():\n"
        '                self.set_meta("journal_size", journal_size)\n'
        "        with self.transaction():\n            self.replace_executions(executions)\n",
        (DEFENCES + "what_reached_the_journal_alone_is_not_forgotten",),
    ),
    Mutant(
        "decision stored before the journal",
        "reevd/reconciler.py",
        "            size = self._journal.append(records, ahead.lines.values())\n"
        "            self._store.reconcile(batch, rfc3339(now), ahead, solved=solved, journal_size=size)\n",
        "            size = self._journal.size\n"
        "            self._store.reconcile(batch, rfc3339(now), ahead, solved=solved, journal_size=size)\n"
        "            self._journal.append(records, ahead.lines.values())\n",
        (DEFENCES + "a_verdict_that_the_journal_does_not_take_is_not_shown",),
    ),
    Mutant(
        "journal not synced",
        "reevd/journal.py",
        "            os.fdatasync(self._descriptor)\n",
        "",
        (FAULTS,),
    ),
    Mutant(
        "torn end of the journal kept",
        "reevd/journal.py",
        "        self.size = self._whole_end()\n",
        "        self.size = os.fstat(self._descriptor).st_size\n",
        ("tests/unit/test_journal.py::test_every_torn_end_costs_only_the_torn_record",),
    ),
    Mutant(
        "journal not replayed",
        "reevd/books.py",
        "            restore.replay(store, self.journal, self._clock.now())\n",
        "",
        (DEFENCES + "a_result_whose_file_went_at_once_outlives_the_database",),
    ),
    Mutant(
        "moved database not noticed",
        "reevd/books.py",
        "        if self.store.moved:\n",
        "        if False:\n",
        (DATABASE + "a_database_taken_away_is_made_anew",),
    ),
    Mutant(
        "damaged database not made anew",
        "reevd/books.py",
        "            restore.move_aside(self.path, self._clock.now())\n            self._open_as_it_is()\n",
        "            raise\n",
        (DATABASE + "damage_is_moved_aside_and_everything_comes_back[garbage]",),
    ),
    Mutant(
        "a part without a whole line",
        "reevd/tail.py",
        'data[: data.rfind(b"\\n", seen, half) + 1 or data.find(b"\\n", half) + 1], True',
        "data[:half], True",
        ("tests/unit/test_tail.py::test_a_long_line_beside_many_short_ones_is_read",),
    ),
    Mutant(
        "who waits counts as crowd",
        "reevd/reader.py",
        "if known.more and known.consumed)",
        "if known.more)",
        (TURNS + "who_waits_for_his_turn_is_no_crowd",),
    ),
    Mutant(
        "news after now",
        "reevd/restore.py",
        "    by = min(jump, now - news)\n",
        "    by = jump\n",
        (CLOCK + "a_clock_that_was_years_ahead_before_the_boot_keeps_no_run_alive",),
    ),
    Mutant(
        "damage told to whoever asked alone",
        "reevd/books.py",
        "self._inspection.damage or self.store.damage",
        "self._inspection.damage",
        ("tests/integration/test_damage.py::test_damage_that_only_the_cases_meet_is_mended",),
    ),
    Mutant(
        "removed once more",
        "reevd/restore.py",
        "_removals(journal) if first else {}",
        "{}",
        ("tests/integration/test_replay.py::test_who_was_removed_and_came_back_is_not_removed_once_more",),
    ),
    Mutant(
        "a part of the journal goes by the clock",
        "reevd/restore.py",
        "store.change if whole and isinstance(stored, int) else 0",
        "store.change if isinstance(stored, int) else 0",
        (
            "tests/integration/test_replay.py::test_what_the_journal_alone_has_is_newer_than_a_row_whose_clock_was_ahead",
        ),
    ),
    Mutant(
        "a record of the row that stands takes its calls",
        "reevd/restore.py",
        "    if beside == row or (",
        "    if (",
        ("tests/integration/test_replay.py::test_calls_stay_where_the_journal_alone_has_the_row_that_stands",),
    ),
    Mutant(
        "a part of telemetry passes for all of it",
        "reevd/reader.py",
        "            tail.reset()  # a part would pass for all that there is\n",
        "",
        ("tests/integration/test_turns.py::test_calls_are_whole_as_soon_as_telemetry_can_be_read_again",),
    ),
    Mutant(
        "a removal that was refused stays in the journal",
        "reevd/reconciler.py",
        "            self._journal.cut(before)  # it was refused to who asked\n",
        "",
        ("tests/integration/test_replay.py::test_a_removal_that_was_refused_is_not_found_later",),
    ),
    Mutant(
        "compacted records are made twice",
        "reevd/compaction.py",
        "line_of(forgotten(named)) if gone else line",
        "line_of(forgotten(named) if gone else record)",
        ("tests/integration/test_rewriting.py::test_a_result_of_300_levels_is_compacted_as_it_stands",),
    ),
    Mutant(
        "too long for SQLite",
        "reevd/database.py",
        "(apsw.TooBigError, OverflowError",
        "(OverflowError",
        ("tests/integration/test_replay.py::test_a_row_that_is_too_long_is_told_and_keeps_nobody_else",),
    ),
    Mutant(
        "damage inside not looked for",
        "reevd/books.py",
        "        if damage := self._inspection.damage or self.store.damage:\n",
        "        if damage := self.store.damage:\n",
        (DATABASE + "damage_is_moved_aside_and_everything_comes_back[page_in_the_middle]",),
    ),
    Mutant(
        "damage of an index not looked for",
        "reevd/database.py",
        "PRAGMA integrity_check(1)",
        "PRAGMA quick_check(1)",
        (DATABASE + "damage_is_moved_aside_and_everything_comes_back[index]",),
    ),
    # -- what cannot be read ----------------------------------------------------------------------------------
    Mutant(
        "who cannot be read is never given up",
        "reevd/look.py",
        "    return row is not None and row.deadline_at is not None and row.deadline_at <= rfc3339(now)\n",
        "    return False\n",
        (UNSEEN + "a_defect_of_ours_leaves_no_run_stuck",),
    ),
    Mutant(
        "stop of who cannot be read is lost",
        "reevd/look.py",
        "        if decision or (may_judge and",
        "        if not decision and (may_judge and",
        (UNSEEN + "a_stop_lasts_though_the_file_cannot_be_read",),
    ),
    Mutant(
        "what cannot be stored keeps the others",
        "reevd/reconciler.py",
        "            written = self._store_apart(changes, now)\n",
        "            raise\n",
        (UNSEEN + "what_cannot_be_stored_is_told_and_the_others_are_stored",),
    ),
    Mutant(
        "a reader's lock taken for a runner's",
        "reevd/lock.py",
        "FLOCK.pack(fcntl.F_RDLCK",
        "FLOCK.pack(fcntl.F_WRLCK",
        (UNSEEN + "a_readers_lock_is_no_runners",),
    ),
    Mutant(
        "a file caught while it is written counts",
        "reevd/weigh.py",
        "    if not reading.torn_since:\n        return False\n",
        "    return False\n",
        (DEFENCES + "a_file_caught_while_it_is_written_changes_nothing",),
    ),
    Mutant(
        "counts as of after the count",
        "reevd/api/census.py",
        "            self._version = version\n",
        '            self._version = self._db.pragma("data_version")\n',
        ("tests/unit/test_census.py::test_what_is_committed_while_it_counts_is_counted_the_next_time",),
    ),
    Mutant(
        "at rest the moment that it is ready",
        "reevd/presence.py",
        "self._ready, self._ready_at, self._stored_at = True, now, now\n",
        "self._ready, self._ready_at = True, now\n",
        ("tests/unit/test_presence.py::test_it_is_not_at_rest_the_moment_that_it_is_ready",),
    ),
)
