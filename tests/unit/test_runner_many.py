"""Many executions side by side: what becomes of the others where one process is ended from outside."""

import os
import signal

from runner import many
from runner.errors import StoppedError
from tests.harness import alive, wait_until


def test_a_signal_to_one_of_them_ends_what_it_does_and_no_more(stop):
    def execute(number):
        try:
            with stop.limit(60):
                if number == 0:
                    os.kill(os.getpid(), signal.SIGTERM)
        except StoppedError as stopped:
            return {"exit_status": stopped.exit_status}
        return {"exit_status": 0}

    ended = [done.told["exit_status"] for done in many.run(3, 1, execute, stop)]
    assert ended == [130, 0, 0]


def test_one_that_dies_between_two_of_its_tasks_is_told_of(stop):
    told = []
    for done in many.run(3, 1, lambda _: {"exit_status": 0, "pid": os.getpid()}, stop):
        told.append(done.told.get("died"))
        if done.number == 0:
            os.kill(done.told["pid"], signal.SIGKILL)
            wait_until(lambda: not alive(done.told["pid"]), "it has died")  # noqa: B023
    assert told == [None, "its process was killed by SIGKILL", None]
