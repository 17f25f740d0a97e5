"""A flow as Mermaid's `stateDiagram-v2`. Pure.

Everything that came out of a file is written so that Mermaid can only take it for text: letters, digits and some
marks stand as they are, all else as the number of its character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reevd.views.flow import Flow, State

HEAD = "stateDiagram-v2"
FAILED = "classDef failed fill:#b3261e22,stroke:#b3261e"
OPEN = "classDef open stroke-dasharray:4"
CLASSES = {"success": "", "open": "open"}
# What a label may hold as it is. Letters of all languages are word characters.
_ODD = re.compile(r"[^\w .,=+/()\[\]'|…✔✘·→%-]|--+|_{2,}|%{2,}")


def diagram(flow: Flow) -> str:
    """The diagram's text, without a newline at its end."""
    return "\n".join((HEAD, *(f"    {text}" for text in _lines(flow))))


def label(text: str) -> str:
    """Text that Mermaid shows as it is, whatever it holds."""
    return _ODD.sub(lambda found: "".join(f"#{ord(c)};" for c in found[0]), text)


def _lines(flow: Flow) -> Iterator[str]:
    yield "[*] --> Prompt"
    yield f'state "{label(flow.agent) or "agent"}" as Agent'
    yield f"Prompt --> Agent{_labelled(flow.prompt)}"
    before, failed, waiting = "Agent", [], []
    for number, state in enumerate(flow.states, 1):
        identity = f"call_{number}"
        yield f'state "{label(_title(number, state))}" as {identity}'
        yield from _moved(identity, state)
        yield f"{before} --> {identity}{_labelled(state.asked)}"
        if state.error or state.outcome in ("error", "timeout", "failure"):
            failed.append(identity)
        elif state.outcome == "open":
            waiting.append(identity)
        before = identity
    if (more := flow.total - len(flow.states)) > 0:
        yield f'state "… and {more} more" as more'
        yield f"{before} --> more"
        before = "more"
    if flow.ended is not None:
        yield f"{before} --> [*]{_labelled(flow.summary)}"
    for style, names in ((FAILED, failed), (OPEN, waiting)):
        if names:
            yield style
            yield f"class {','.join(names)} {style.split()[1]}"


def _title(number: int, state: State) -> str:
    took = f" ({state.took})" if state.took else ""
    mark = "✘ " if state.error else ""
    return f"{mark}{number}. {state.name}{took}" + (f": {state.error}" if state.error else "")


def _moved(identity: str, state: State) -> Iterator[str]:
    """What it moved, as states within: each place once."""
    if not state.moves:
        return
    places = list(dict.fromkeys(place for move in state.moves for place in (move.source, move.target)))
    names = {place: f"{identity}_{index}" for index, place in enumerate(places, 1)}
    yield f"state {identity} {{"
    for place, name in names.items():
        yield f'    state "{label(place)}" as {name}'
    for move in state.moves:
        yield f"    {names[move.source]} --> {names[move.target]}{_labelled(move.what)}"
    yield "}"


def _labelled(text: str) -> str:
    return f" : {label(text)}" if text.strip() else ""
