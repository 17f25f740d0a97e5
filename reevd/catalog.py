"""The benchmark cases as the database lists them: id, description, tags, prompt, and the YAML itself.

What the folder holds is listed where it is a YAML object with an id, and the runner says whether it can be run. What is
stored over the API must hold what every case does.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from reevd import case, yaml_text
from reevd.names import EXECUTION_ID, printable
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
    return _row(yaml_text.read(text), text, path)


def _row(document: yaml_text.Document, text: str, path: str) -> Benchmark:
    found = document.value
    if not isinstance(found, dict):
        raise ValueError("line 1: it holds no YAML object")
    name, tags = found.get("id"), found.get("tags") or []
    if not isinstance(name, str) or not EXECUTION_ID.fullmatch(name):
        is_ = f"{name[:40]!r} is" if isinstance(name, str) else "it is missing, or"
        raise _fault(document, "id", f"{is_} no name of letters, digits, dot, dash and underscore")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _fault(document, "tags", "it is no list of texts")
    texts = {field: "" if found.get(field) is None else found[field] for field in ("description", "prompt")}
    for field, value in texts.items():
        if not isinstance(value, str):
            raise _fault(document, field, "it is no text")
    return Benchmark(name, path, texts["description"], dumps(tags), texts["prompt"], text)


def _fault(document: yaml_text.Document, field: str, why: str) -> ValueError:
    return ValueError(f"line {document.line((field,))}: field {field}: {why}")


def put(folder: str, text: str) -> Benchmark:
    """Stores the case in the folder, in place of the file that holds its id, or else under its id's name.

    Raises ValueError with the line and the field where it is no case, and OSError.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES} characters")
    document = yaml_text.read(text)
    benchmark = _row(document, text, "")
    if wrong := case.fault(document.value):
        raise ValueError(f"line {document.line(wrong.place)}: field {wrong.field}: {wrong.why}")
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
            if not name.isprintable():
                raise ValueError("its name cannot be shown: rename the file")
            with open(path, encoding="utf-8", opener=yaml_text.opener) as file:
                text = file.read(MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                raise ValueError(f"it is longer than {MAX_BYTES} characters")
            benchmark = parse(text, path)
            if benchmark.id in found:
                raise ValueError(f"field id: {benchmark.id} stands in {found[benchmark.id].path} too")
            found[benchmark.id] = benchmark
        except (OSError, ValueError) as error:
            failures.append(Failure(printable(os.fsencode(path)), str(error)))
    return [found[key] for key in sorted(found)], failures
