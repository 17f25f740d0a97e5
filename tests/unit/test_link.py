"""The link between server and engine: whole frames, whatever their size, and an engine that never waits."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reevd import link
from reevd.link import EngineEnd, LinkError, RefusedError, ServerEnd

Answer = Callable[[EngineEnd, link.Request], None]


def talk(answer: Answer, ask: Callable[[ServerEnd], Awaitable[Any]], news: list[Any] | None = None) -> Any:
    """What `ask` brings, over a real link whose engine, in the same loop, gives each request to `answer`."""

    async def both() -> Any:
        ours, theirs = link.pair()
        engine, poll = EngineEnd(ours), select.epoll()
        engine.register(poll)
        told: list[Any] = [] if news is None else news
        end = ServerEnd(told.append, lambda: None)
        await end.open(theirs)

        async def serve() -> None:
            while not engine.closed:
                if poll.poll(0):
                    for request in engine.receive():
                        answer(engine, request)
                await asyncio.sleep(0)

        serving = asyncio.create_task(serve())
        try:
            return await ask(end)
        finally:
            end.close()
            await serving
            engine.close()
            poll.close()

    return asyncio.run(both())


def echo(engine: EngineEnd, request: link.Request) -> None:
    engine.answer(request, request.args)


@pytest.mark.parametrize("size", [0, 200_000, 1 << 20, 5 << 20, (16 << 20) - 100])
def test_what_is_sent_arrives_whole(size: int) -> None:
    asked = {"text": "x" * size}
    assert talk(echo, lambda end: end.call("echo", asked)) == asked


def test_many_at_once_get_each_its_own() -> None:
    async def ask(end: ServerEnd) -> list[Any]:
        return await asyncio.gather(*(end.call("echo", {"n": n, "text": "x" * 90_000}) for n in range(50)))

    assert [answer["n"] for answer in talk(echo, ask)] == list(range(50))


@pytest.mark.parametrize(("args", "words"), [({"text": "x" * (17 << 20)}, "at most"), ({"n": 1 << 70}, "as JSON")])
def test_what_cannot_be_asked_is_refused_and_the_link_stands(args: dict[str, Any], words: str) -> None:
    async def ask(end: ServerEnd) -> Any:
        with pytest.raises(LinkError, match=words) as refused:
            await end.call("echo", args)
        assert refused.value.status == 400
        return await end.call("echo", {"still": True})

    assert talk(echo, ask) == {"still": True}


@pytest.mark.parametrize("told", ["x" * (17 << 20), "\ud800", 1 << 70])
def test_what_cannot_be_answered_is_refused_and_the_link_stands(told: object) -> None:
    def answer(engine: EngineEnd, request: link.Request) -> None:
        engine.answer(request, told if request.op == "odd" else "well")

    async def ask(end: ServerEnd) -> Any:
        with pytest.raises(LinkError, match="odd: the answer cannot be given") as refused:
            await end.call("odd")
        assert refused.value.status == 500
        return await end.call("even")

    assert talk(answer, ask) == "well"


def test_a_refusal_may_say_anything() -> None:
    def answer(engine: EngineEnd, request: link.Request) -> None:
        engine.refuse(request, RefusedError(409, "\udcff" + "x" * (17 << 20)))

    async def ask(end: ServerEnd) -> Any:
        with pytest.raises(LinkError, match=r"^\\udcffx+$") as refused:
            await end.call("any")
        return refused.value.status

    assert talk(answer, ask) == 409


def test_a_server_that_does_not_read_is_not_waited_for() -> None:
    ours, theirs = link.pair()
    with contextlib.closing(theirs), contextlib.closing(EngineEnd(ours)) as engine:
        for number in range(10):
            engine.answer(link.Request(number, "large", {}), "x" * (15 << 20))
        engine.tell({"replaced": "db"})
        theirs.settimeout(10)
        inbox, got = link.Inbox(), list[dict[str, Any]]()
        while not any("replaced" in message for message in got):
            engine.receive()
            got += inbox.take(theirs.recv(1 << 20))
    kinds = ["answer" if "answer" in message else message.get("status") for message in got]
    assert kinds == ["answer"] * 4 + [503] * 6 + [None]


def test_the_engines_end_is_heard_and_who_waits_is_told() -> None:
    def answer(engine: EngineEnd, _request: link.Request) -> None:
        engine._end.shutdown(socket.SHUT_RDWR)

    async def ask(end: ServerEnd) -> str:
        with pytest.raises(LinkError) as gone:
            await end.call("any")
        return str(gone.value)

    assert "it ended meanwhile" in talk(answer, ask)


def test_silence_is_not_told_as_a_refusal() -> None:
    async def ask(end: ServerEnd) -> str:
        with pytest.raises(LinkError) as silent:
            await end.call("run", timeout=0.01)
        return str(silent.value)

    assert "it may still do what was asked" in talk(lambda _engine, _request: None, ask)
