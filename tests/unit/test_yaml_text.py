"""YAML that strangers wrote: what it costs is bounded by its length, and what is wrong has a line."""

from __future__ import annotations

import pytest

from reevd.yaml_text import read

NINE = ", ".join(["*a{}"] * 9)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{NINE.replace('{}', str(n - 1))}]" for n in range(1, levels))]
    return "\n".join([*lines, f"id: *a{levels - 1}"])


def merges(levels: int) -> str:
    lines = ["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, levels))]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "line 1: it is nested too deeply"),
        ("a:\n " + "{b: " * 1000, "line 2: it is nested too deeply"),
        (bomb(12), "its aliases stand for more than"),
        (merges(60), "its aliases stand for more than"),
        ("a: &a [*a]", "line 1: an alias stands within what it stands for"),
        ("a: !!int ''", "does not fit its type"),
        ("a: !!bool x", "does not fit its type"),
        ("a: 2024-13-01", "does not fit its type"),
        ("a: " + "9" * 5000, "does not fit its type"),
        ("a: !odd x", "line 1"),
        ("a: \x07", "not allowed"),
        ("a: 1\nb: [", "line 3, column 1, in or behind the field b"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_read_says_why(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        read(text)
    assert len(str(refused.value)) < 600


def test_lines_of_fields() -> None:
    document = read("a: 1\nb:\n  - c: 2\n    d: &x [3]\n  - e: *x\na: 4\n")
    assert document.value == {"a": 4, "b": [{"c": 2, "d": [3]}, {"e": [3]}]}
    paths = {("a",): 6, ("b",): 2, ("b", 0, "d"): 4, ("b", 1, "e"): 5, ("b", 0, "none"): 3, ("none",): 1, (): 1}
    assert {path: document.line(path) for path in paths} == paths  # type: ignore[arg-type]
