"""A conversation with a model: what it is told, and what it asks for in return. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from runner.agents import Task
from runner.case import Case

SYSTEM = """You act on the Solana blockchain for a user, by calling tools.
Wallets, mints and token accounts go by the names that the user gives you (such as USER_WALLET_PUBKEY): pass these \
names to the tools as they are, wherever a key is asked for.
A tool that moves something answers with the instructions for it. All instructions that you have collected are \
signed and sent as one transaction when you answer without calling a tool. So call each such tool once for each \
thing to be done, in order, and then say in a sentence what you have done.
Amounts are in the smallest unit: lamports (1 SOL = 1000000000), or the mint's (USDC has 6 decimals)."""


CUT_OFF = "the time of this step was over before the call came back"


class Asked(NamedTuple):
    """A call that the model asks for. `error` says what is wrong with it; then `arguments` are empty."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    error: str | None = None


def opening(case: Case, task: Task) -> list[dict[str, Any]]:
    """The messages that it begins with."""
    accounts = []
    for account in case.initial_state:
        told: dict[str, Any] = {"name": account.pubkey, "lamports": account.lamports}
        if account.token:
            token = account.token
            told |= {"token_account_of": token.owner, "mint": token.mint, "amount": str(token.amount)}
        accounts.append(told)
    content = f"{task.prompt}\n\nThe accounts, as they stand:\n{json.dumps(accounts, indent=1)}"
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]


def going_on(messages: list[dict[str, Any]], task: Task) -> list[dict[str, Any]]:
    """The messages of a flow's next step. Calls that were cut off are answered: servers want each of them to be."""
    last = next((n for n in reversed(range(len(messages))) if messages[n]["role"] == "assistant"), len(messages))
    answers = {message.get("tool_call_id") for message in messages[last:]}
    open_calls = [call["id"] for m in messages[last : last + 1] for call in m.get("tool_calls", ())]
    closed = [_answer(each, {"error": CUT_OFF}) for each in open_calls if each not in answers]
    return [*closed, {"role": "user", "content": f"{task.before}\n\n{task.prompt}".lstrip()}]


def read(message: Mapping[str, Any], turn: int) -> tuple[dict[str, Any], list[Asked]]:
    """The model's message as it goes back into the conversation, and the calls in it, odd ones included."""
    kept: dict[str, Any] = {"role": "assistant", "content": _words(message.get("content"))}
    calls = message.get("tool_calls")
    asked = [_asked(call, f"call_{turn}_{n}") for n, call in enumerate(calls if isinstance(calls, list) else ())]
    if asked:
        kept["tool_calls"] = [
            {
                "id": each.id,
                "type": "function",
                "function": {"name": each.name, "arguments": json.dumps(each.arguments)},
            }
            for each in asked
        ]
    return kept, asked


def _words(content: Any) -> str | None:
    """Some servers send a list of parts in the place of the text."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str)) or None
    return content if isinstance(content, str) else None


def _asked(call: Any, fallback: str) -> Asked:
    call = call if isinstance(call, dict) else {}
    given = call.get("id")
    identity = given if isinstance(given, str) and given else fallback
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name:
        return Asked(identity, "unknown", {}, "the call names no tool")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError) as error:
            return Asked(identity, name, {}, f"the arguments are no JSON ({error}): send one JSON object")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        return Asked(identity, name, {}, f"the arguments are a JSON {type(arguments).__name__}: send one JSON object")
    try:
        orjson.dumps(arguments)  # as they are recorded: a number may have more digits, or a text be none
    except TypeError as error:
        return Asked(identity, name, {}, f"the arguments cannot be taken ({error}): send one plain JSON object")
    return Asked(identity, name, arguments)


def answered(asked: Asked, result: Any, error: str | None) -> dict[str, Any]:
    """What the tool said, as the model gets it."""
    return _answer(asked.id, {"error": error} if error is not None else {"result": result})


def _answer(call: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": json.dumps(content)}


def same(asked: Asked) -> str:
    """The same for two calls that ask for the same."""
    return f"{asked.name} {json.dumps(asked.arguments, sort_keys=True)}"
