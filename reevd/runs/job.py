"""One run that somebody asked for: what is asked, and whether it can be. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from reevd.names import EXECUTION_ID

DEFAULT_TIMEOUT, MAX_TIMEOUT = 300.0, 3600.0
FIELDS = ("agent", "config", "timeout_seconds", "execution_id")
CONFIG = ("rpc_url",)
URL, LONGEST_URL = re.compile("https?://.+"), 2_000


class Order(NamedTuple):
    """What the API was asked for. `execution_id` is None where reevd is to choose one; seconds."""

    agent: str
    timeout_seconds: float
    rpc_url: str | None
    execution_id: str | None


class Job(NamedTuple):
    """A run in the queue or under way. `path`: the benchmark's YAML; `at`: microseconds; `uid`: who asked."""

    execution_id: str
    benchmark_id: str
    path: str
    agent: str
    timeout_seconds: float
    rpc_url: str | None
    at: int
    uid: int


def order(body: object, agents: Collection[str]) -> Order:
    """Raises ValueError that names the field. `agents`: those that there are; empty where that is not known."""
    if not isinstance(body, dict):
        raise ValueError('the body is no JSON object: send {"agent": "deterministic"}')
    _only(body, FIELDS, "the body")
    agent = body.get("agent")
    if not isinstance(agent, str) or not EXECUTION_ID.fullmatch(agent):
        raise ValueError(f"agent is {_shown(agent)}: give {_some(agents)}")
    if agents and agent not in agents:
        raise ValueError(f"agent is {_shown(agent)}, which the runner does not know: give {_some(agents)}")
    timeout = body.get("timeout_seconds", DEFAULT_TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not _in_range(timeout):
        raise ValueError(f"timeout_seconds is {_shown(timeout)}: give more than 0 and at most {MAX_TIMEOUT:g}")
    execution_id = body.get("execution_id")
    if execution_id is not None and not (isinstance(execution_id, str) and EXECUTION_ID.fullmatch(execution_id)):
        raise ValueError(
            f"execution_id is {_shown(execution_id)}: 1 to 128 letters, digits, '.', '_' and '-', the first of them"
            " a letter or a digit; leave it out for a fresh one"
        )
    return Order(agent, float(timeout), _rpc_url(body.get("config")), execution_id)


def _rpc_url(config: object) -> str | None:
    if config is None:
        return None
    if not isinstance(config, dict):
        raise ValueError(f"config is {_shown(config)}: give an object, or leave it out")
    _only(config, CONFIG, "config")
    url = config.get("rpc_url")
    if url is None:
        return None
    if not isinstance(url, str) or not URL.fullmatch(url) or not url.isprintable() or len(url) > LONGEST_URL:
        raise ValueError(f"config.rpc_url is {_shown(url)}: give an address such as http://127.0.0.1:8899")
    return url


def _only(found: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for name in found:
        if name not in known:
            keys = "; keys and addresses of agents belong in the daemon's environment" if where == "config" else ""
            raise ValueError(f"{where} holds {_shown(name)}, which is unknown: {', '.join(known)} are known{keys}")


def _in_range(seconds: float) -> bool:
    return math.isfinite(seconds) and 0 < seconds <= MAX_TIMEOUT


def _some(agents: Collection[str]) -> str:
    return f"one of {', '.join(sorted(agents))}" if agents else "the name of an agent, such as deterministic"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
