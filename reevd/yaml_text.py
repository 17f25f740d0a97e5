"""A YAML text as a value, with the line of each of its fields, read so that no text costs more than its own length.

A few hundred bytes of aliases may stand for gigabytes, and a deep one breaks the parser's stack.
"""

from __future__ import annotations

import os
import stat
from typing import Any, NamedTuple

import yaml

MOST_DEPTH = 64
MOST_NODES = 200_000
"""Each alias counts as all that it stands for."""

# libyaml's, where it was built in: ten times as fast, but it breaks at a depth that nobody has looked at before.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MISFIT = (ValueError, LookupError, AttributeError, TypeError, OverflowError)
"""What PyYAML raises where a value does not fit its tag, such as `!!int ''` or a 13th month."""

Path = tuple[str | int, ...]


class Document(NamedTuple):
    """`value`: of strings, numbers, lists and so on, as YAML 1.1 has them; None where the text holds nothing."""

    value: Any
    root: yaml.Node | None

    def line(self, path: Path) -> int:
        """Where the field stands, from 1; where a part of the path is missing, what should hold it."""
        node, line = self.root, 1
        for step in path:
            key, node = _below(node, step)
            if node is None or key is None:
                break
            line = key.start_mark.line + 1
        return line


def opener(path: str, flags: int) -> int:
    """For `open`. Raises ValueError for what is no regular file: on a pipe, one would wait for a writer."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is no regular file")
    return descriptor


def read(text: str) -> Document:
    """Raises ValueError that says why the text cannot be read, and where, as far as that is known."""
    _check_depth(text)
    loader = LOADER(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Document(None, None)
        _weigh(root, {})
        return Document(_constructed(loader, root), root)
    except yaml.YAMLError as error:
        raise ValueError(_told(error)) from None
    finally:
        loader.dispose()


def _constructed(loader: Any, root: yaml.Node) -> Any:
    try:
        return loader.construct_document(root)
    except MISFIT as error:
        raise ValueError(f"a value in it does not fit its type: {_cut(str(error))}") from None


def _check_depth(text: str) -> None:
    depth, field, loader = 0, "", LOADER(text)
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif depth == 1 and isinstance(event, yaml.ScalarEvent) and _column(event) == 0:
                field = event.value
            if depth > MOST_DEPTH:
                line = event.start_mark.line + 1
                raise ValueError(f"line {line}: it is nested too deeply: {MOST_DEPTH} levels are read")
    except yaml.YAMLError as error:
        raise ValueError(_told(error) + (f", in or behind the field {_cut(field)}" if field else "")) from None
    finally:
        loader.dispose()


def _column(event: Any) -> int:
    column: int = event.start_mark.column
    return column


def _weigh(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes it stands for. The depth of the text bounds this, but for aliases within aliases."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError(f"line {node.start_mark.line + 1}: an alias stands within what it stands for")
        return known[id(node)]
    known[id(node)] = 0
    inner = (
        [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode)
        else node.value if isinstance(node, yaml.SequenceNode) else ()
    )  # fmt: skip
    if len(known) > MOST_NODES or len(inner) > MOST_NODES:
        raise ValueError(f"it holds more than {MOST_NODES:,} values")
    weight = 1 + sum(_weigh(each, known) for each in inner)
    if weight > MOST_NODES:
        raise ValueError(f"line {node.start_mark.line + 1}: its aliases stand for more than {MOST_NODES:,} values")
    known[id(node)] = weight
    return weight


def _below(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The key and the value of a field; of an element, itself twice. The last of equal keys is the one that counts."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == step:
                return key, value
    return None, None


def _told(error: yaml.YAMLError) -> str:
    return _cut(" ".join(str(error).replace('"<unicode string>", ', "").split()), 400)


def _cut(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
