"""What ends a run early, with real signals to this process; and a tool call that is cut off."""

# ruff: noqa: PT012 (what is raised, and where, is what these blocks are about)

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from runner.case_file import load
from runner.clock import Clock
from runner.errors import StoppedError
from runner.otel_file import OtelFile, Place
from runner.record import Order, Record
from runner.telemetry import Lines, Telemetry
from runner.toolbox import RecordedTools
from runner.tools import Answer, Bench, Tool
from runner.tools.sol_transfer import Parameters

FIRST = Path(__file__).parents[2] / "benchmarks" / "001-sol-transfer.yml"
LONG = 60.0


@pytest.fixture
def stop(stop):
    yield stop
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_is_raised_within_the_limit(stop):
    with pytest.raises(StoppedError) as caught, stop.limit(LONG):
        interrupt()
        time.sleep(LONG)
    assert (caught.value.kind, caught.value.exit_status) == ("interrupted", 130)
    assert stop.interrupted


def test_a_signal_before_the_limit_is_raised_at_once(stop):
    interrupt()
    reached = []
    with pytest.raises(StoppedError), stop.limit(LONG):
        reached.append("the block")
    assert reached == []


def test_a_shield_holds_a_signal_back_until_its_end(stop):
    reached = []
    with pytest.raises(StoppedError), stop.limit(LONG):
        with stop.shield():
            interrupt()
            reached.append("the end of the shield")
        reached.append("after the shield")
    assert reached == ["the end of the shield"]


def test_what_is_exposed_within_a_shield_is_interrupted(stop):
    reached = []
    with pytest.raises(StoppedError), stop.limit(LONG), stop.shield():
        try:
            with stop.exposed():
                interrupt()
                time.sleep(LONG)
        finally:
            interrupt()
            reached.append("after it, whole")
    assert reached == ["after it, whole"]


def test_only_the_first_signal_is_raised(stop):
    reached = []
    with pytest.raises(StoppedError) as caught, stop.limit(LONG):
        try:
            interrupt()
            time.sleep(LONG)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("its end")
    assert reached == ["its end"]
    assert "SIGINT" in caught.value.message


def test_a_signal_that_a_library_swallowed_is_raised_at_the_end(stop):
    with pytest.raises(StoppedError), stop.limit(LONG), contextlib.suppress(BaseException):
        interrupt()
        time.sleep(LONG)


def test_the_limit_of_one_run_does_not_touch_the_next(stop):
    with pytest.raises(StoppedError) as caught, stop.limit(0.01):
        time.sleep(LONG)
    assert (caught.value.kind, caught.value.exit_status) == ("timeout", 124)
    assert not stop.interrupted
    with stop.limit(LONG):
        pass


def test_a_call_that_is_cut_off_is_told_in_both_files(stop, tmp_path):
    clock, file = Clock(), OtelFile(Place(tmp_path / "t.jsonl", own=False))
    record = Record(Order(load(FIRST), "a", "x", tmp_path, LONG, "checkout", "litesvm"), clock, 1, None)

    def wait(_parameters, _bench):
        time.sleep(LONG)
        return Answer(None)

    class NoKeys:
        address = str

    tool = Tool("sol_transfer", "waits", Parameters, wait)
    tools = RecordedTools(
        {tool.name: tool}, Bench(None, NoKeys), record, Telemetry(clock, Lines(file, "x", None)), stop
    )
    system = "11111111111111111111111111111111"
    with pytest.raises(StoppedError), stop.limit(0.05):
        tools.call("sol_transfer", {"user_pubkey": system, "recipient_pubkey": system, "amount": 1})
    file.close()
    (call,) = record.tools
    assert (call["status"], call["result"]) == ("timeout", None)
    assert "longer than its limit of 0.05 s" in call["error_message"]
    assert [event["event_type"] for event in record.events] == ["ToolCall", "ToolResult"]
    asked, answered = (tmp_path / "t.jsonl").read_text().splitlines()
    assert '"event_type":"ToolInput"' in asked
    assert '"tool_output":{"success":false,"results":null,"error_message":"the run took longer' in answered
