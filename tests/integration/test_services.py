"""What goes wrong between the runner and the services that it asks: each is one clear error, and no key is in it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from runner import jupiter
from runner.agents import completions
from runner.agents.completions import Completions, Reply, Service
from runner.chain.rpc import RpcChain
from runner.errors import AgentError, ChainError
from runner.exchange import CERTIFICATES, PROXIES, TRIES
from runner.site import UNREADABLE, Site, shown
from runner.tools import ToolError
from tests.loopback import listening

KEY = "sk-the-key-that-nobody-may-see"
GOOD = {"choices": [{"message": {"content": "well"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
Written = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class Server:
    """Answers as is written, the last one for ever: (status, JSON or bytes, headers)."""

    def __init__(self) -> None:
        self.written: list[Written] = []
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.address = ""

    def say(self, *written: Written) -> None:
        self.written, self.asked = list(written), []


@contextmanager
def serving() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            made.asked.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
            status, content, *more = made.written.pop(0) if len(made.written) > 1 else made.written[0]
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **(more[0] if more else {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_POST = do_HEAD = do_GET  # noqa: N815 (the names of the methods)

        def log_message(self, *_: Any) -> None:
            """A test's output is no place for it."""

    with listening(Handler) as made.address:
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which are not made; drawn without chance."""
    pauses: list[float] = []
    monkeypatch.setattr("runner.exchange.time.sleep", pauses.append)
    monkeypatch.setattr("runner.exchange.random.uniform", lambda least, most: 1.0)
    return pauses


@contextmanager
def model(server: Server, address: str = "", key: str = KEY) -> Iterator[Completions]:
    made = Completions(Service("m", "local", address or f"{server.address}/v1", key, "THE_KEY"))
    try:
        yield made
    finally:
        made.close()


def ask(server: Server, address: str = "") -> Reply:
    with model(server, address) as made:
        return made.ask([{"role": "user", "content": "go"}], [{"type": "function"}])


def refusal(server: Server) -> AgentError:
    with pytest.raises(AgentError) as found:
        ask(server)
    return found.value


HTML = b"<!doctype html><title>a page</title>"
FAULTS: list[tuple[str, Written, int, str, str]] = [
    (
        "refused key",
        (401, {"error": {"message": "no such key"}}),
        1,
        "it answered 401 Unauthorized: no such key",
        "see the key in THE_KEY",
    ),
    ("key without rights", (403, {"detail": "no"}), 1, "it answered 403 Forbidden", "see the key in THE_KEY"),
    ("nothing paid", (402, {"error": "pay"}), 1, "402 Payment Required: pay", "see the balance"),
    (
        "quota used up",
        (429, {"error": {"code": "insufficient_quota", "message": "You exceeded"}}),
        1,
        "You exceeded",
        "see the balance",
    ),
    (
        "unknown model",
        (404, {"error": {"message": "model m not found"}}),
        1,
        "model m not found",
        "see the name of the model",
    ),
    (
        "unknown model as 400",
        (400, {"error": {"message": "no such model"}}),
        1,
        "no such model",
        "see the name of the model",
    ),
    (
        "too long",
        (400, {"error": {"message": "maximum context length is 8"}}),
        1,
        "maximum context",
        "reads more at once",
    ),
    (
        "no tools",
        (400, {"error": {"message": "m does not support tools"}}),
        1,
        "does not support tools",
        "a model that calls tools",
    ),
    ("bad request", (422, {"error": {"message": "temperature"}}), 1, "it answered 422", "see what the service says"),
    (
        "redirect",
        (302, b"", {"Location": f"https://else/{KEY}"}),
        1,
        "302 Found, and leads to https://else",
        "the address",
    ),
    ("web page", (200, HTML), TRIES, "no JSON (it begins with '<!doctype html>", "address"),
    ("empty", (200, b""), TRIES, "no JSON (it is empty)", "address"),
    ("no message", (200, {"choices": []}), TRIES, "its answer holds no message", "see the server's log"),
    (
        "error as success",
        (200, {"error": {"message": "no such thing", "code": 404}}),
        1,
        "it answered 200 with an error: no such thing",
        "name of the model",
    ),
    ("overload as success", (200, {"error": {"message": "busy", "code": 503}}), TRIES, "busy", "try again later"),
    ("streams", (200, b'data: {"choices": []}\n\ndata: [DONE]\n'), 1, "it streams its answer", "turn streaming off"),
    ("overload", (503, b"busy"), TRIES, "it answered 503 Service Unavailable: busy", "try again later"),
    ("bad encoding", (200, b"no gzip", {"Content-Encoding": "gzip"}), 1, "incorrect header check", "see its address"),
    (
        "cut off",
        (200, b"{}", {"Content-Length": "9"}),
        TRIES,
        "without sending complete message body",
        "try again later",
    ),
]


@pytest.mark.parametrize(("written", "times", "says", "hint"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_the_usual_faults_of_a_models_server(
    written: Written, times: int, says: str, hint: str, server: Server, slept: list[float]
) -> None:
    server.say(written)
    error = refusal(server)
    assert says in str(error)
    assert hint in error.hint
    assert str(error).startswith(f"asking m at {server.address}: ")
    assert "\n" not in str(error)
    assert KEY not in str(error) + error.hint
    assert len(server.asked) == times
    assert len(slept) == times - 1


def test_what_a_model_is_asked(server: Server) -> None:
    server.say((200, GOOD))
    assert ask(server) == Reply({"content": "well"}, "stop", 3, 0)
    ((method, path, headers, body),) = server.asked
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/chat/completions", f"Bearer {KEY}")
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "go"}],
        "temperature": 0,
        "stream": False,
        "tools": [{"type": "function"}],
        "tool_choice": "auto",
    }


def test_useless_answers_and_failures_in_turn_are_five_requests_in_all(server: Server, slept: list[float]) -> None:
    server.say(*([(200, {"choices": []}), (500, b"")] * 20))
    assert "(5 tries)" in str(refusal(server))
    assert len(server.asked) == TRIES


def test_each_pause_is_twice_the_one_before_or_what_the_server_wishes(server: Server, slept: list[float]) -> None:
    server.say((500, b""))
    refusal(server)
    assert slept == [1, 2, 4, 8]
    slept.clear()
    server.say(
        (429, b"", {"Retry-After": "7"}),
        (429, b"", {"Retry-After": "900"}),
        (429, b"", {"Retry-After": "soon"}),
        (200, GOOD),
    )
    ask(server)
    assert slept == [7, 30, 4]


def test_who_does_not_answer_in_time_is_asked_again(
    server: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = httpx.Client.stream, []

    def late(client: httpx.Client, *given: Any, **named: Any) -> Any:
        if not failed:
            failed.append(1)
            raise httpx.ReadTimeout("late")
        return real(client, *given, **named)

    monkeypatch.setattr(httpx.Client, "stream", late)
    server.say((200, GOOD))
    assert ask(server).message == {"content": "well"}
    assert slept == [1]


def test_an_answer_without_end_is_cut(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "MOST_BYTES", 1 << 20)
    server.say((200, b" " * (1 << 20) + b"{}"))
    assert "its answer has more than 1 MiB" in str(refusal(server))
    bomb = gzip.compress(b" " * (64 << 20))
    server.say((200, bomb, {"Content-Encoding": "gzip"}))
    assert "its answer has more than 1 MiB" in str(refusal(server))


def test_a_query_of_the_address_stays_behind_the_path(server: Server) -> None:
    server.say((200, GOOD))
    ask(server, f"{server.address}/v1/?api-version=1")
    assert server.asked[0][1] == "/v1/chat/completions?api-version=1"


# -- keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://api.z.ai/api/paas/v4", "https://api.z.ai"),
        ("http://me:PW@h:80/PW?key=PW#PW", "http://h:80"),
        ("http://[::1]:8899/x", "http://[::1]:8899"),
        ("ftp://me:PW@h/", "ftp://h"),
        ("http://me:P/W@h/", UNREADABLE),
        ("http://me:12/W@h/", UNREADABLE),
        ("nowhere", UNREADABLE),
        ("http://[::bad", UNREADABLE),
    ],
)
def test_of_an_address_only_scheme_host_and_port_are_told(url: str, told: str) -> None:
    assert shown(url) == told


def test_each_key_of_an_address_is_hidden_in_whatever_a_service_says() -> None:
    site = Site("https://us%40er:pass%2Fword@h/v2/0123456789abcdef?api-key=querykey&v=1", KEY)
    for secret in ("pass%2Fword", "pass/word", "0123456789abcdef", "querykey", KEY, "dXNAZXI6cGFzcy93b3Jk"):
        assert site.hide(f"a {secret} b") == "a *** b"
        assert site.hidden({secret: [secret, 1, None]}) == {"***": ["***", 1, None]}
    assert site.hide("v2 is version 1 of h") == "v2 is version 1 of h"


def test_a_short_key_is_hidden_as_a_word_and_not_within_data() -> None:
    site = Site("http://me:PW@h")
    assert site.hide("bad PW, xPWx") == "bad ***, x***x"
    assert site.hidden(["bad PW, xPWx", "AAPW", "PW==", '{"a":"PW"}']) == [
        "bad ***, xPWx",
        "AAPW",
        "PW==",
        '{"a":"***"}',
    ]


def chain(address: str) -> Any:
    return RpcChain(address, pause=0)


def lend(address: str) -> Any:
    return jupiter.get("/lend/v1/earn/tokens")


def chat(address: str) -> Any:
    made = Completions(Service("m", "local", address, KEY, "THE_KEY", 0))
    try:
        return made.ask([], [])
    finally:
        made.close()


CLIENTS = [(chat, AgentError), (chain, ChainError), (lend, ToolError)]
ECHO = f"you sent {KEY} and PASSWORD to /v2/0123456789abcdef?key=QUERYKEY"


@pytest.fixture
def secret_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    address = server.address.replace("://", "://me:PASSWORD@") + f"/v2/0123456789abcdef/{KEY}?key=QUERYKEY"
    monkeypatch.setenv("JUPITER_API_URL", address)
    monkeypatch.setenv("REEV_RETRY_SECONDS", "0")
    return address


@pytest.mark.parametrize(("client", "kind"), CLIENTS)
@pytest.mark.parametrize(
    "written",
    [(401, {"error": {"message": ECHO}}), (500, ECHO.encode()), (200, ECHO.encode()), (302, b"", {"Location": ECHO})],
    ids=["401", "500", "200", "302"],
)
def test_a_service_that_echoes_the_key_does_not_get_it_told(
    client: Callable[[str], Any], kind: type[Exception], written: Written, server: Server, secret_address: str
) -> None:
    server.say(written)
    with pytest.raises(kind) as found:
        client(secret_address)
    said = f"{found.value} {getattr(found.value, 'hint', '')}"
    assert server.address in said
    for secret in (KEY, "PASSWORD", "0123456789abcdef", "QUERYKEY"):
        assert secret not in said


def test_a_model_that_echoes_the_key_does_not_get_it_into_the_conversation(server: Server, secret_address: str) -> None:
    server.say((200, {"choices": [{"message": {"content": ECHO, "tool_calls": [{"id": KEY}]}}]}))
    reply = chat(secret_address)
    assert reply.message == {"content": "you sent *** and *** to /v2/***?key=***", "tool_calls": [{"id": "***"}]}


@pytest.mark.parametrize(("client", "kind"), CLIENTS)
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALL_PROXY", "socks5://me:PASSWORD@127.0.0.1:9", "needs socksio"),
        ("HTTP_PROXY", "http://me:PASSWORD@127.0.0.1:port", "the address of the proxy is none"),
        ("HTTP_PROXY", "gopher://me:PASSWORD@127.0.0.1:9", "the address of the proxy is none"),
        ("SSL_CERT_FILE", "/nowhere/PASSWORD.pem", "No such file"),
    ],
)
def test_settings_that_allow_no_http_are_named(
    client: Callable[[str], Any], kind: type[Exception], name: str, value: str, says: str, server: Server,
    secret_address: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if name in CERTIFICATES:  # what is asked in the clear needs none
        secret_address = secret_address.replace("http:", "https:")
        monkeypatch.setenv("JUPITER_API_URL", secret_address)
    for other in (*PROXIES, *CERTIFICATES):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(kind) as found:
        client(secret_address)
    assert f"HTTP cannot be set up with {name}: " in str(found.value)
    assert says in str(found.value)
    assert "PASSWORD" not in str(found.value)


def test_what_is_asked_in_the_clear_needs_no_certificates(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    server.say((200, GOOD))
    assert ask(server).message == {"content": "well"}


@pytest.mark.parametrize(("client", "kind"), CLIENTS)
def test_a_body_that_cannot_be_unpacked_is_said(
    client: Callable[[str], Any], kind: type[Exception], server: Server, secret_address: str
) -> None:
    server.say((200, b"no gzip", {"Content-Encoding": "gzip"}))
    with pytest.raises(kind, match="incorrect header check"):
        client(secret_address)


def test_jupiter_is_bounded_and_asked_again(
    server: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPITER_API_URL", server.address)
    server.say((429, b"", {"Retry-After": "3"}), (200, [1]))
    assert jupiter.get("/x") == [1]
    assert slept == [3]
    monkeypatch.setattr(jupiter, "MOST_BYTES", 1 << 20)
    server.say((200, b" " * (1 << 20) + b"[]"))
    with pytest.raises(ToolError, match="more than 1 MiB"):
        jupiter.get("/x")
