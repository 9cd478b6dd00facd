"""The buttons of a message, as whoever plays a procedure sees them, and which of them to press. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.core.runbook import label_of
from bot.demo_procedures import Move
from bot.demo_world import Trouble

Json = dict[str, Any]


def press(step: Mapping[str, Any], move: Move) -> str:
    """The buttons of one step, in their order."""
    also = f"first the report's button that plans {move.also}, and run it; then " if move.also else ""
    approve = f", type the pipeline's name; then be {move.approve} and approve" if move.approve else ""
    if not step["operation"]:
        label = label_of(move.answer) if move.answer else f"Done: {step['title']}"
        return f"{also}press “{label}”{approve}"
    again = ""
    if step["operation"] == "dlq.replay":
        again = ". It is refused until few events of the last 5 min were bad; then press it once more"
    return f"press “Plan: {step['title']}”, read the plan, press “Run {step['operation']}”{approve}{again}"


def elements(message: Mapping[str, Any]) -> list[Json]:
    blocks = message.get("blocks") or ()
    return [element for block in blocks if block["type"] == "actions" for element in block["elements"]]


def actions(message: Mapping[str, Any]) -> list[str]:
    return [str(element["action_id"]) for element in elements(message)]


def values(message: Mapping[str, Any], *actions: str) -> list[str]:
    return [str(element["value"]) for element in elements(message) if element["action_id"] in actions]


def steps_of(message: Mapping[str, Any]) -> list[str]:
    return [str(json.loads(v).get("step")) for v in values(message, "step_run", "step_done")]


def operations_of(message: Mapping[str, Any]) -> list[str]:
    return [str(json.loads(v).get("operation")) for v in values(message, "step_run")]


def value_of(message: Mapping[str, Any], ref: str, answer: str) -> str:
    """The value of the step's button with that answer. Raises Trouble when there is none."""
    for value in values(message, "step_done"):
        said = json.loads(value)
        if said["step"] == ref and said.get("answer", "") == answer:
            return value
    raise Trouble(f"no button says {answer or 'done'!r} at {ref}")


def plan_of(message: Mapping[str, Any]) -> str:
    meta = message.get("metadata") or {}
    if meta.get("event_type") != "streamwatch_plan":
        return ""
    return str(meta["event_payload"].get("operation"))
