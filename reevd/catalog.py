"""The benchmark cases as the database lists them: id, description, tags, prompt, and the YAML itself.

What a case must hold to be run is the runner's to say; here it must only be a YAML object with an id.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import yaml

from reevd.names import EXECUTION_ID
from reevd.session_file import dumps

MAX_BYTES = 1 << 20


class Benchmark(NamedTuple):
    """One row of `benchmarks`; `tags` is a JSON array."""

    id: str
    path: str
    description: str
    tags: str
    prompt: str
    yml_content: str


class Failure(NamedTuple):
    path: str
    error: str


def parse(text: str, path: str) -> Benchmark:
    """Raises ValueError with the line and the field where the text is no benchmark."""
    try:
        return _parse(yaml.safe_load(text), text, path)
    except _FieldError as error:
        raise ValueError(f"line {_line(text, error.field)}: field {error.field}: {error.why}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _FieldError(Exception):
    def __init__(self, field: str, why: str) -> None:
        super().__init__(field, why)
        self.field, self.why = field, why


def _line(text: str, field: str) -> int:
    """Where the field stands; the first line where it is missing."""
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(document, yaml.MappingNode)
    keys = [key for key, _ in document.value if isinstance(key, yaml.ScalarNode) and key.value == field]
    return keys[-1].start_mark.line + 1 if keys else 1


def _parse(document: object, text: str, path: str) -> Benchmark:
    if not isinstance(document, dict):
        raise ValueError("line 1: it holds no YAML object")
    name = document.get("id")
    if not isinstance(name, str) or not EXECUTION_ID.fullmatch(name):
        raise _FieldError("id", f"{name!r} is no name of letters, digits, dot, dash and underscore")
    tags = document.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _FieldError("tags", "it is no list of texts")
    return Benchmark(name, path, _text(document, "description"), dumps(tags), _text(document, "prompt"), text)


def _text(document: dict[str, Any], field: str) -> str:
    value = document.get(field, "")
    if not isinstance(value, str):
        raise _FieldError(field, "it is no text")
    return value


def put(folder: str, text: str) -> Benchmark:
    """Stores the case in the folder, in place of the file that holds its id, or else under its id's name.

    Raises ValueError where it is no case, and OSError.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES} characters")
    benchmark = parse(text, "")
    standing = {b.id: b.path for b in read(folder)[0]}
    path = standing.get(benchmark.id, os.path.join(folder, f"{benchmark.id}.yml"))
    torn = os.path.join(folder, f".{benchmark.id}.yml.tmp")
    with open(torn, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(torn, path)
    return benchmark._replace(path=path)


def read(folder: str) -> tuple[list[Benchmark], list[Failure]]:
    """All cases of the folder, sorted by id, and the files that are none. A folder that is missing holds none."""
    found: dict[str, Benchmark] = {}
    failures: list[Failure] = []
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if not name.endswith((".yml", ".yaml")) or name.startswith("."):
            continue
        path = os.path.join(folder, name)
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                raise ValueError(f"it is longer than {MAX_BYTES} characters")
            benchmark = parse(text, path)
            if benchmark.id in found:
                raise ValueError(f"field id: {benchmark.id} stands in {found[benchmark.id].path} too")
            found[benchmark.id] = benchmark
        except (OSError, ValueError) as error:
            failures.append(Failure(path, str(error)))
    return [found[key] for key in sorted(found)], failures
