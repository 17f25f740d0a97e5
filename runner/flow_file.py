"""The parts of a case file that speak of steps: a flow, what solves each step, what the whole must come to."""

from __future__ import annotations

from collections.abc import Container

from runner.case import Criterion, ExpectedCall, FlowStep, Name
from runner.instruction import SYSTEM_PROGRAM
from runner.tools import NAMES, ToolError, Tools
from runner.tools.parameters import read
from runner.yaml_node import Node


def flow_of(node: Node) -> tuple[FlowStep, ...]:
    """The steps: numbers that rise, and none depends on one that is not there. Raises CaseError, as all here do."""
    steps: dict[int, FlowStep] = {}
    for item in node.items():
        parts = item.fields("step prompt", "description critical timeout depends_on")
        number = parts["step"].integer(least=1, most=1000)
        if number <= max(steps, default=0):
            parts["step"].fail("the steps of a flow are numbered, each higher than the one before")
        depends = list(parts["depends_on"].items()) if "depends_on" in parts else []
        for each in depends:
            if each.integer(least=1, most=number - 1) not in steps:
                each.fail(f"step {number} depends on step {each.integer()}, which there is not")
        steps[number] = FlowStep(
            step=number,
            description=parts["description"].text() if "description" in parts else "",
            prompt=parts["prompt"].text(),
            critical=parts["critical"].boolean() if "critical" in parts else True,
            timeout=parts["timeout"].number(least=0.001, most=3600) if "timeout" in parts else None,
            depends_on=tuple(each.integer() for each in depends),
        )
    return tuple(steps.values())


def step_number(parts: dict[str, Node], steps: set[int]) -> int:
    """Which step of the flow it belongs to, the first where none is named; a case of a single prompt has none."""
    if not steps:
        return parts["step"].fail("this case has no flow") if "step" in parts else 0
    if "step" not in parts:
        return min(steps)
    number = parts["step"].integer(least=1, most=1000)
    return number if number in steps else parts["step"].fail(f"the flow has no step {number}")


def call(node: Node, steps: set[int], known: Container[Name]) -> ExpectedCall:
    """A call that solves the case, or a step of it: one that its tool takes. `known`: the names with a meaning."""
    parts = node.fields("tool_name params", "step")
    name, arguments = _tool(parts["tool_name"]), parts["params"].arguments()
    try:
        # Which address a name stands for is drawn when the case runs; here any will do.
        read(Tools()[name].parameters, arguments, lambda key: SYSTEM_PROGRAM if key in known else key)
    except ToolError as error:
        parts["params"].fail(f"{name} does not take it: {error}")
    return ExpectedCall(name, arguments, step_number(parts, steps))


def _tool(node: Node) -> str:
    name = node.text()
    return name if name in NAMES else node.fail(f"there is no tool {name[:40]!r}; there are {', '.join(NAMES)}")


def criterion(node: Node, steps: int) -> Criterion:
    """What a case of so many steps must have come to."""
    kind = node.fields("type", "required tool_name")["type"].choice("steps_completed", "tool_called")
    if kind == "steps_completed":
        return Criterion(node.fields("type required")["required"].integer(least=1, most=steps), None)
    return Criterion(None, _tool(node.fields("type tool_name")["tool_name"]))
