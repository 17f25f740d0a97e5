"""The process that follows: beside the daemon, and never in its way. It ends when its stdin does."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import apsw
import orjson
import structlog

from reevd import log
from reevd.clock import Clock
from reevd.feed import followers
from reevd.feed.followers import Follower, Forward, Notice
from reevd.feed.outbox import Outbox
from reevd.feed.outcome import Wanted
from reevd.feed.source import Source
from reevd.times import rfc3339

LOOK_SECONDS = 0.5
TAKE = 500

logger = structlog.get_logger("reevd.feed")


def follow(follower: Follower, database: str, path: str, stopping: threading.Event) -> None:
    """Until it is to stop: takes in what has ended, delivers what is due."""
    now = rfc3339(Clock().now())
    # What had ended before anybody wanted to hear of it is no news; for a collector it is.
    outbox = Outbox(path, follower.name, "" if isinstance(follower, Forward) else now)
    wanted = follower.wanted._replace(since=outbox.since)
    while not stopping.is_set():
        wait = LOOK_SECONDS
        try:
            source = Source(database)
        except apsw.Error as error:
            logger.debug("there is no database at the moment", error=str(error))
        else:
            try:
                _take(source, outbox, wanted)
                wait = _deliver(source, outbox, follower)
            except apsw.Error as error:
                logger.warning("following waits", follower=follower.name, error=str(error) or type(error).__name__)
            finally:
                source.close()
        stopping.wait(wait)
    outbox.close()


def _take(source: Source, outbox: Outbox, wanted: Wanted) -> None:
    position = outbox.position(source.birth)
    while True:
        outcomes, reached = source.since(position, TAKE)
        if reached == position:
            return
        outbox.take(map(wanted.told, filter(wanted.takes, outcomes)), source.birth, reached)
        position = reached
        if len(outcomes) < TAKE:
            return


def _deliver(source: Source, outbox: Outbox, follower: Follower) -> float:
    """Seconds until there may be more to do."""
    due = outbox.due(time.time(), follower.batch)
    if not due:
        return LOOK_SECONDS
    found = map(follower.wanted.told, source.outcomes([item.execution_id for item in due]))
    there = {outcome.execution_id: outcome for outcome in found}
    # What was removed is no news any more, and what has ended in another way since comes again as that.
    items = [
        (i, there[i.execution_id]) for i in due if i.execution_id in there and there[i.execution_id].digest == i.digest
    ]
    gone = set(due) - {item for item, _ in items}
    if gone:
        outbox.done(list(gone), gone=True)
    return follower.deliver(outbox, items) if items else 0.0


def wanting(settings: dict[str, Any]) -> list[Follower]:
    """Who is to be told, by the settings."""
    found: list[Follower] = []
    wanted = Wanted(settings["notice_statuses"], settings["notice_benchmarks"])
    seconds, attempts = settings["notice_seconds"], settings["notice_attempts"]
    if settings["forward_endpoint"]:
        found.append(Forward(settings["forward_endpoint"], settings["forward_rate"], os.environ))
    if settings["notice_command"]:
        tell = followers.command(settings["notice_command"], seconds, os.environ)
        found.append(Notice("command", tell, wanted, attempts))
    if settings["notice_webhook"]:
        found.append(Notice("webhook", followers.webhook(settings["notice_webhook"], seconds), wanted, attempts))
    return found


def main(arguments: Sequence[str]) -> int:
    settings = orjson.loads(arguments[1])
    outlet = log.configure(settings["log_format"])
    stopping = threading.Event()

    def guarded(follower: Follower) -> None:
        """One that breaks ends the process, which the daemon starts anew."""
        try:
            follow(follower, settings["database"], settings["path"], stopping)
        except BaseException:
            logger.exception("following failed", follower=follower.name)
            outlet.close()
            os._exit(1)

    threads = [threading.Thread(target=guarded, args=(each,), daemon=True) for each in wanting(settings)]
    for thread in threads:
        thread.start()
    sys.stdin.buffer.read()
    stopping.set()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
