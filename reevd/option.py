"""One setting: its name everywhere, and what it may be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from reevd.errors import ConfigError
from reevd.feed.address import check_address
from reevd.feed.outcome import TERMINAL, check_command
from reevd.owners import user_ids

ADDRESSES = ("forward_endpoint", "notice_webhook")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting, under one name everywhere: `--sessions-dir`, REEVD_SESSIONS_DIR, `sessions_dir`.

    systemd: the variable in which systemd hands over a folder, and what stands in it
    """

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    systemd: tuple[str, str] | None = None
    least: float = 0.0

    @property
    def metavar(self) -> str:
        """What stands for its value in the help."""
        if self.choices:
            return "|".join(self.choices)
        return "N" if isinstance(self.default, int) else self.name.split("_")[-1].upper()

    @property
    def variables(self) -> tuple[str, ...]:
        return (f"REEVD_{self.name.upper()}", *self.env)


def check(option: Option, value: Any, where: str) -> Any:
    """The value as its type. Raises ConfigError that names `where` it was read."""
    try:
        return _checked(option, value, where)
    except (ValueError, OverflowError, RecursionError) as error:  # of what is too long, too deep, or in no alphabet
        why = f"it cannot be used: {type(error).__name__}: {error}"
        raise ConfigError("reading", where, why, f"the default is {option.default!r}") from None


def _checked(option: Option, value: Any, where: str) -> Any:
    if isinstance(option.default, tuple):
        return _list(option, value, where)
    if isinstance(option.default, int):
        if not str(value).isascii() or not str(value).isdigit() or not option.least <= int(str(value)[:6]) <= 1000:
            raise ConfigError("reading", where, f"{value!r} cannot be used", f"whole, from {option.least:g} to 1000")
        return int(str(value))
    if isinstance(option.default, float):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise ConfigError("reading", where, f"{value!r} is no number", f"default: {option.default:g}") from None
        if not option.least <= number < 1e9:
            raise ConfigError("reading", where, f"{number:g} is out of range", f"at least {option.least:g}")
        return number
    if not isinstance(value, str) or "\0" in value or (not value and option.default):
        raise ConfigError("reading", where, f"{value!r} is no text", f"default: {option.default}")
    if value and option.name in ADDRESSES:
        try:
            check_address(value)
        except ValueError as error:
            why = f"{value!r} is no address to send to: {error}"
            raise ConfigError("reading", where, why, "such as http://127.0.0.1:4318") from None
    if option.choices and value not in option.choices:
        raise ConfigError("reading", where, f"{value!r} is unknown", f"one of: {', '.join(option.choices)}")
    return value


def _list(option: Option, value: Any, where: str) -> tuple[str, ...]:
    """A list of texts; as a flag or in the environment, as JSON."""
    hint = f"a list, such as {json.dumps(option.default or ['notify', '{execution_id}'])}"
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigError("reading", where, f"{value!r} is no JSON", hint) from None
    if not isinstance(found, list) or not all(isinstance(each, str) and each and "\0" not in each for each in found):
        raise ConfigError("reading", where, f"{value!r} is no list of texts", hint)
    if option.name == "notice_statuses" and (unknown := sorted(set(found) - set(TERMINAL))):
        raise ConfigError("reading", where, f"{unknown[0]!r} is no status that ends a run", hint)
    if option.name == "writers":
        try:
            user_ids(found, 0)
        except KeyError as error:
            raise ConfigError("reading", where, error.args[0], "users of this host, by name or number") from None
    if option.name == "notice_command":
        try:
            check_command(found)
        except ValueError as error:
            raise ConfigError("reading", where, error, hint) from None
    return tuple(found)
