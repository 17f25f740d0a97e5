"""YAML with its places: a value that knows its file, its line and the path that leads to it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from runner.errors import CaseError

MAX_BYTES, MAX_DEPTH = 1 << 20, 32
U64_MAX = 2**64 - 1
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
# YAML 1.1 takes a number that begins with 0 for one of base 8, and YAML 1.2 does not: here it is none.
DIGITS = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,19})")
WORDS = {"str": "text", "int": "an integer", "float": "a number", "bool": "true or false", "null": "nothing"}


class Node:
    """One value of the document. Each reading raises CaseError where the value is not of that kind."""

    def __init__(self, file: str, path: str, node: yaml.Node) -> None:
        self.file, self.path, self.node = file, path, node

    def fail(self, why: str) -> NoReturn:
        raise CaseError(self.file, self.node.start_mark.line + 1, self.path, why)

    def fields(self, required: str, optional: str = "") -> dict[str, Node]:
        """The mapping's values by key; both lists are words parted by spaces. A key with nothing after it is absent."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"it must be a mapping, not {self._kind()}")
        found: dict[str, Node] = {}
        seen: set[str] = set()
        known = f"{required} {optional}".split()
        for key, value in self.node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "a key that is no text"
            place = Node(self.file, f"{self.path}.{name}" if self.path else name, key)
            if name not in known:
                place.fail(f"it is not known here; known are {', '.join(sorted(known))}")
            if name in seen:
                place.fail("it stands here twice")
            seen.add(name)
            if value.tag != "tag:yaml.org,2002:null":
                found[name] = Node(self.file, place.path, value)
        for name in required.split():
            if name not in found:
                self.fail(f"{name} is missing")
        return found

    def items(self) -> Iterator[Node]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"it must be a list, not {self._kind()}")
        for index, item in enumerate(self.node.value):
            yield Node(self.file, f"{self.path}[{index}]", item)

    def text(self) -> str:
        value = self._scalar("str")
        if not value.strip():
            self.fail("it must not be empty")
        return value

    def boolean(self) -> bool:
        word = self._scalar("bool").lower()
        return TRUTHS[word] if word in TRUTHS else self.fail(f"it must be true or false, not {word[:40]!r}")

    def integer(self, least: int = 0, most: int = U64_MAX) -> int:
        text = self._scalar("int").replace("_", "")
        if not DIGITS.fullmatch(text):
            self.fail(f"it must be an integer in decimal digits, not {text[:40]!r}")
        if not least <= int(text) <= most:
            self.fail(f"it must be between {least} and {most}, not {text}")
        return int(text)

    def number(self, least: float, most: float = math.inf) -> float:
        try:
            value = float(self._scalar("int", "float").replace("_", ""))
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not least <= value <= most:
            bounds = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
            self.fail(f"it must be a number {bounds}, not {self.node.value}")
        return value

    def choice(self, *words: str) -> str:
        value = self._scalar("str")
        if value not in words:
            self.fail(f"it must be {' or '.join(words)}, not {value!r}")
        return value

    def arguments(self) -> dict[str, Any]:
        """A mapping whose keys are text, with its values as plain Python: text, numbers, lists, mappings."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"it must be a mapping, not {self._kind()}")
        found: dict[str, Any] = {}
        for key, value in self.node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                Node(self.file, self.path, key).fail("a key must be text")
            place = Node(self.file, f"{self.path}.{key.value}", value)
            if key.value in found:
                place.fail("it stands here twice")
            found[key.value] = place.plain()
        return found

    def plain(self) -> Any:
        """The value as plain Python: mappings, lists, text, numbers."""
        try:
            return yaml.SafeLoader("").construct_document(self.node)
        except yaml.MarkedYAMLError as error:
            self.fail(f"it has no value: {error.problem}")
        except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
            self.fail(f"it has no value: {error}")

    def _scalar(self, *kinds: str) -> str:
        wanted = " or ".join(WORDS[kind] for kind in kinds)
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag.rpartition(":")[2] not in kinds:
            self.fail(f"it must be {wanted}, not {self._kind()}")
        value: str = self.node.value
        return value

    def _kind(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            kind = self.node.tag.rpartition(":")[2]
            return f"{WORDS.get(kind, kind)} ({self.node.value[:40]!r})" if self.node.value else "nothing"
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"


def compose(raw: bytes, file: str) -> Node:
    """The document in `raw`. Raises CaseError where it is no single YAML document."""
    if len(raw) > MAX_BYTES:
        raise CaseError(file, 1, "", f"it has more than {MAX_BYTES:,} bytes")
    try:
        _require_shallow(raw, file)
        node = yaml.compose(raw, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise CaseError(file, mark.line + 1 if mark else 1, "", f"it is no YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = raw[: error.position].count(b"\n") + 1
        raise CaseError(file, line, "", f"it is no YAML: {error.reason} ({error.character!r})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CaseError(file, 1, "", f"it is no YAML: {error}") from None
    if node is None:
        raise CaseError(file, 1, "", "it is empty")
    return Node(file, "", node)


def _require_shallow(raw: bytes, file: str) -> None:
    # Composing recurses in C: a document that is nested without end would take the process with it.
    depth = 0
    for event in yaml.parse(raw, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            why = "an alias (*) has no place in a case" if depth <= MAX_DEPTH else "it is nested too deeply"
            raise CaseError(file, event.start_mark.line + 1 if event.start_mark else 1, "", why)
