"""Completion on the shell's line. The scripts only ask `reevctl complete WORDS`, which knows every command, its
options, and what the daemon knows by now.
"""

from __future__ import annotations

from argparse import REMAINDER, Action, ArgumentParser, Namespace
from importlib import import_module

from reevd.ctl.client import UnreachableError
from reevd.ctl.commands import HIDDEN, MODULES
from reevd.ctl.render import MARKS
from reevd.ctl.shell import DONE, RefusedError, Shell
from reevd.ctl.usage import Command, parser

MOST = 200
SCRIPTS = {
    "bash": """\
_reevctl() {
    local IFS=$'\\n'
    COMPREPLY=($(reevctl complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    [[ ${#COMPREPLY[@]} -gt 0 ]] || compopt -o default
}
complete -F _reevctl reevctl
""",
    "zsh": """\
#compdef reevctl
_reevctl() {
    local -a found
    found=("${(@f)$(reevctl complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
compdef _reevctl reevctl
""",
    "fish": """\
function __reevctl
    set -l words (commandline -opc) (commandline -ct)
    reevctl complete -- $words[2..-1] 2>/dev/null
end
complete -c reevctl -a '(__reevctl)'
""",
}


def completion(shell: Shell) -> int:
    """Prints what makes a shell complete: for bash, `eval "$(reevctl completion bash)"` in ~/.bashrc."""
    print(SCRIPTS[shell.asked.shell], end="")
    return DONE


def complete(shell: Shell) -> int:
    """What may come next on the line; the last word is what there is of it."""
    words = shell.asked.words
    words = words[words[:1] == ["--"] :] or [""]
    before, socket = _without_socket(words[:-1])
    if before[-1:] == ["--socket"]:
        return DONE
    asked = Shell(Namespace(socket=socket or shell.asked.socket, json=False))
    try:
        found = [candidate for candidate in candidates(asked, before) if candidate.startswith(words[-1])]
    finally:
        asked.client.close()
    print("\n".join(found), end="\n" if found else "")
    return DONE


def candidates(shell: Shell, before: list[str]) -> list[str]:
    """All that may follow these words."""
    commands = {name: module for module, names in MODULES.items() for name in names if name not in HIDDEN}
    name = next((word for word in before if word in commands), None)
    if name is None:
        return ["--json", "--socket", *sorted(commands)]
    one = parser({name: import_module(f"reevd.ctl.{commands[name]}").COMMANDS[name]})
    actions = _actions(one, name)
    last = next((a for a in actions if before[-1] in a.option_strings), None)
    if last is not None and last.nargs != 0:
        return _values(shell, last)
    options = [text for action in actions for text in action.option_strings if text.startswith("--")]
    positional = [action for action in actions if not action.option_strings]
    given = len([word for word in before[before.index(name) + 1 :] if not word.startswith("-")])
    if not positional:
        return options
    return [*_values(shell, positional[min(given, len(positional) - 1)]), *options]


def _without_socket(words: list[str]) -> tuple[list[str], str | None]:
    """The words without the daemon's socket, and the socket: it is asked there. One without its path stays."""
    left, socket = [], None
    following = iter(words)
    for word in following:
        name, equals, path = word.partition("=")
        if name == "--socket" and not equals:
            path = next(following, "")
            path = next(following, "") if path == "=" else path  # bash makes three words of --socket=PATH
        if name == "--socket" and path:
            socket = path
        else:
            left.append(word)
    return left, socket


def _actions(whole: ArgumentParser, name: str) -> list[Action]:
    (several,) = (action.choices for action in whole._actions if action.dest == "command")
    return list(dict(several or {})[name]._actions)


def _values(shell: Shell, action: Action) -> list[str]:
    """What an option or an argument may be: as it says itself, else as the daemon knows."""
    if action.choices:
        return [str(choice) for choice in action.choices]
    try:
        if action.dest == "status":
            return list(MARKS)
        if action.dest == "id":
            return [e["execution_id"] for e in shell.get("/executions", limit=MOST)["items"]]
        if action.dest == "benchmark":
            return [b["id"] for b in shell.array("/benchmarks")]
        if action.dest in ("agent", "a", "b"):
            return shell.array("/agents")
    except (UnreachableError, RefusedError):
        pass  # nobody to ask: the line is completed by what is known without
    return []


def _which(sub: ArgumentParser) -> None:
    sub.add_argument("shell", choices=tuple(SCRIPTS))


def _words(sub: ArgumentParser) -> None:
    sub.add_argument("words", nargs=REMAINDER)


COMMANDS = {
    "completion": Command(
        completion,
        _which,
        (
            'eval "$(reevctl completion bash)"',
            "reevctl completion fish > ~/.config/fish/completions/reevctl.fish",
        ),
    ),
    "complete": Command(complete, _words),
}
