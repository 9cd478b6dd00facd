"""The step block of a runbook: what is run, with which parameters, and where each result leads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from bot.core.runbook import ELSE, END, SEVERITIES, SKIPS_GATE, Known, ParameterRule, Step
from bot.documents import reader
from bot.documents.markdown import Block
from bot.documents.mistakes import Notes, shown, suggest
from bot.documents.runbook_front import contact
from bot.documents.surroundings import Surroundings
from bot.documents.tree import Entries, Items, Scalar, Tree, read_tree

KEYS = ("run", "with", "next", "contact", "draft", "remind")
_WHEN = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A branch as written, with its line; `goto` None or `end`: the run ends there."""

    when: str
    goto: str | None
    line: int


def read_block(step: Step, block: Block, known: Surroundings, notes: Notes) -> tuple[Step, tuple[Way, ...]]:
    """The step with what its block says, and its branches as written; every mistake is noted."""
    mistakes_before = len(notes.mistakes)
    tree = read_tree(block.text, notes, first_line=block.line + 1)
    if tree is None:
        if len(notes.mistakes) == mistakes_before:
            notes.add(block.line, "the step block is empty", "Add `run: OPERATION`, or remove the block.")
        return step, ()
    found = reader.entries(tree, notes, "a step block", KEYS)
    run = reader.text(found["run"], notes, "run") if "run" in found else None
    operation = known.operations.get(run) if run is not None else None
    if run is not None and operation is None:
        notes.add(found["run"].line, f"there is no operation {shown(run)}", suggest(run, known.operations))
        run = None
    if "with" in found and "run" not in found:
        notes.add(found["with"].line, "`with` needs an operation", "Add `run: OPERATION`, or remove `with`.")
    params = reader.entries(found["with"], notes, "with") if "with" in found else {}
    ways = _ways(found["next"], notes) if "next" in found and not reader.absent(found["next"]) else ()
    if run is not None and operation is not None:
        _check_params(run, operation, params, notes)
        _check_findings(run, operation, ways, notes)
    step = replace(
        step,
        run=run,
        risk=operation.risk if operation is not None else None,
        params={key: reader.plain(value) for key, value in params.items()},
    )
    return _for_people(step, found, known, notes), ways


def _for_people(step: Step, found: Mapping[str, Tree], known: Surroundings, notes: Notes) -> Step:
    """Whom to write to, what, and after how long a reminder comes."""
    given = {key: value for key, value in found.items() if not reader.absent(value)}
    subject = contact(given["contact"], known, notes) if "contact" in given else None
    draft = reader.text(given["draft"], notes, "draft") if "draft" in given else None
    remind = reader.duration(given["remind"], notes, "remind") if "remind" in given else None
    if draft is not None and "contact" not in given:
        notes.add(given["draft"].line, "this draft goes to nobody", "Add `contact:` and its subject.")
    if remind is not None and step.automatic:
        remedy = "Remove `remind`, or put it at the step that a person does."
        notes.add(given["remind"].line, "nobody can be reminded of what the bot does by itself", remedy)
        remind = None
    return replace(step, contact=subject, draft=draft or "", remind=remind)


# --- parameters -------------------------------------------------------------------------------------------


def _check_params(run: str, operation: Known, params: Mapping[str, Tree], notes: Notes) -> None:
    for name, value in params.items():
        plain = name.replace("-", "_")
        if plain in SKIPS_GATE and operation.risk != "read":
            remedy = f"Remove `{name}`: who runs the step decides that, when its plan is shown."
            notes.add(value.line, f"this step has no gate: {shown(name)} {SKIPS_GATE[plain]}", remedy)
        elif operation.params is None:
            continue
        elif name not in operation.params:
            text = f"{run} knows no parameter {shown(name)}"
            notes.add(value.line, text, _param_remedy(name, operation.params))
        else:
            _check_value(name, value, operation.params[name], notes)


def _param_remedy(name: str, params: Mapping[str, ParameterRule]) -> str:
    if name == "pipeline":
        return (
            "Remove it: the step runs on the incident's pipeline, or on the one that is named when it is run."
        )
    return suggest(name, params)


def _check_value(name: str, tree: Tree, rule: ParameterRule, notes: Notes) -> None:
    if not isinstance(tree, Scalar):
        notes.add(tree.line, f"{name} must be a single value", "Write it as `name: value`.")
        return
    value = reader.plain(tree)
    match rule.type:
        case "truth" if not isinstance(value, bool):
            notes.add(
                tree.line, f"{name}: {shown(tree.text)} is neither true nor false", "Write true or false."
            )
        case "whole" | "number" if isinstance(value, bool) or not isinstance(value, int | float):
            notes.add(tree.line, f"{name}: {shown(tree.text)} is not a number", "Write digits.")
        case "whole" if not isinstance(value, int):
            notes.add(tree.line, f"{name}: {shown(tree.text)} is not a whole number", "Write digits alone.")
        case "whole" | "number" if not _within(float(str(value)), rule):
            notes.add(tree.line, f"{name}: {shown(tree.text)} is out of range", _range(rule))
        case "text" if rule.choices and str(value) not in rule.choices:
            notes.add(
                tree.line, f"{name}: {shown(tree.text)} is not possible", suggest(tree.text, rule.choices)
            )
        case _:
            pass


def _within(value: float, rule: ParameterRule) -> bool:
    return (rule.minimum is None or value >= rule.minimum) and (rule.maximum is None or value <= rule.maximum)


def _range(rule: ParameterRule) -> str:
    least = f"at least {rule.minimum:g}" if rule.minimum is not None else ""
    most = f"at most {rule.maximum:g}" if rule.maximum is not None else ""
    return f"It is {' and '.join(part for part in (least, most) if part)}."


# --- branches ---------------------------------------------------------------------------------------------


def _ways(tree: Tree, notes: Notes) -> tuple[Way, ...]:
    if isinstance(tree, Items):
        notes.add(tree.line, "next must be a mapping", "Write it as {FINDING: STEP, else: STEP}.")
        return ()
    if not isinstance(tree, Entries):
        return (Way(when=ELSE, goto=tree.text.strip(), line=tree.line),)
    ways = []
    for key, value in tree.entries:
        if not _WHEN.fullmatch(key.text):
            remedy = "Write the id of a finding (small letters, digits, _), a severity, or else."
            notes.add(key.line, f"{shown(key.text)} cannot be a finding", remedy)
            continue
        goto = END if reader.absent(value) else reader.text(value, notes, f"next, {key.text}")
        if goto is not None:
            ways.append(Way(when=key.text, goto=goto, line=value.line))
    if ways and len(ways) == len(tree.entries) and all(way.when != ELSE for way in ways):
        remedy = "Add `else: STEP` (or `else: end`), for what no other branch catches."
        notes.add(tree.line, "these branches have no else", remedy)
    return tuple(ways)


def _check_findings(run: str, operation: Known, ways: tuple[Way, ...], notes: Notes) -> None:
    """A finding that the operation cannot make is never found: the branch would wait for ever."""
    if not operation.findings:
        return
    possible = operation.findings | set(SEVERITIES)
    for way in ways:
        if way.when in (ELSE, END) or any(fnmatchcase(way.when, one) for one in possible):
            continue
        text = f"{run} never finds {shown(way.when)}"
        meant = get_close_matches(way.when, sorted(possible), n=1, cutoff=0.75)
        if meant:
            notes.add(way.line, text, f"Did you mean {shown(meant[0])}?")
        else:
            notes.warn(
                way.line, text, f"It can find: {', '.join(sorted(operation.findings))}; or a severity."
            )
