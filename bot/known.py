"""The pipeline's operations in the words of the core: what a runbook may name, with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from bot.core.runbook import Known, ParameterRule
from pipeline.operations import Operation, Param
from pipeline.operations.findings import FINDINGS

_TYPES: Mapping[type, Literal["text", "whole", "number", "truth"]] = {
    str: "text",
    int: "whole",
    float: "number",
    bool: "truth",
}


def known_operations(registry: Mapping[str, Operation]) -> dict[str, Known]:
    """Each operation by its name, with the gate that it is judged by, its parameters and what it can find."""
    return {name: _known(registry[name]) for name in registry}


def _known(operation: Operation) -> Known:
    return Known(
        risk=str(operation.gate),
        params={param.name: _rule(param) for param in operation.params},
        findings=FINDINGS.get(operation.name, frozenset()),
    )


def _rule(param: Param) -> ParameterRule:
    return ParameterRule(
        type=_TYPES[param.type], choices=param.choices, minimum=param.minimum, maximum=param.maximum
    )
