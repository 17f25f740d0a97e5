"""The parts of a case file that speak of steps: a flow, what solves each step, what the whole must come to."""

from __future__ import annotations

from runner.case import Criterion, ExpectedCall, FlowStep
from runner.tools import NAMES
from runner.yaml_node import Node


def step_of(node: Node) -> FlowStep:
    """A step. Each method raises CaseError, which names file, line and field."""
    parts = node.fields("step prompt", "description critical timeout depends_on")
    step = parts["step"].integer(least=1, most=1000)
    depends = parts["depends_on"].items() if "depends_on" in parts else ()
    return FlowStep(
        step=step,
        description=parts["description"].text() if "description" in parts else "",
        prompt=parts["prompt"].text(),
        critical=parts["critical"].boolean() if "critical" in parts else True,
        timeout=parts["timeout"].number(least=0.001, most=3600) if "timeout" in parts else None,
        depends_on=tuple(item.integer(least=1, most=step - 1) for item in depends),
    )


def check_flow(node: Node, flow: tuple[FlowStep, ...]) -> None:
    """Numbers that rise, and none that is not there."""
    numbers = [step.step for step in flow]
    if numbers != sorted(set(numbers)):
        node.fail("the steps of a flow are numbered, each higher than the one before")
    for step in flow:
        for needed in step.depends_on:
            if needed not in numbers:
                node.fail(f"step {step.step} depends on step {needed}, which there is not")


def step_number(parts: dict[str, Node], steps: set[int]) -> int:
    """Which step of the flow it belongs to, the first where none is named; a case of a single prompt has none."""
    if not steps:
        return parts["step"].fail("this case has no flow") if "step" in parts else 0
    if "step" not in parts:
        return min(steps)
    number = parts["step"].integer(least=1, most=1000)
    return number if number in steps else parts["step"].fail(f"the flow has no step {number}")


def call(node: Node, steps: set[int]) -> ExpectedCall:
    """A call that solves the case, or a step of it."""
    parts = node.fields("tool_name params", "step")
    return ExpectedCall(_tool(parts["tool_name"]), parts["params"].plain(), step_number(parts, steps))


def _tool(node: Node) -> str:
    name = node.text()
    return name if name in NAMES else node.fail(f"there is no tool {name[:40]!r}; there are {', '.join(NAMES)}")


def criterion(node: Node, steps: int) -> Criterion:
    """What a case of so many steps must have come to."""
    kind = node.fields("type", "required tool_name")["type"].choice("steps_completed", "tool_called")
    if kind == "steps_completed":
        return Criterion(node.fields("type required")["required"].integer(least=1, most=steps), None)
    return Criterion(None, _tool(node.fields("type tool_name")["tool_name"]))
