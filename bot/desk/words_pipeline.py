"""``/pipeline``, ``/dlq``, ``/cost``: the operations, with the words and flags of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.core.delivery import Outbound
from bot.core.refusal import Refused
from bot.core.text import cut
from bot.desk import gates, runs
from bot.desk.answers import private
from bot.desk.asked import Asked
from bot.desk.ports import Run
from pipeline.errors import UsageError
from pipeline.operations import Operation, complete_word, parse, usage

FAMILIES = {"/pipeline": "pipeline", "/dlq": "dlq", "/cost": "cost"}

# What others call it; a word that merely looks alike would lead elsewhere.
ELSEWHERE = {
    "update": "restart",
    "start": "restart",
    "launch": "restart",
    "run": "restart",
    "stop": "drain",
    "kill": "cancel",
}


def words_of(family: str, registry: Mapping[str, Operation]) -> list[str]:
    """The words that this command knows."""
    return [name.partition(".")[2] for name in registry if name.partition(".")[0] == family]


def command(asked: Asked, name: str, registry: Mapping[str, Operation]) -> list[Outbound]:
    """One of the three commands. Raises Refused with a suggestion for a word that is not known."""
    family = FAMILIES[name]
    known = words_of(family, registry)
    words = [word.lower() for word in asked.words]
    if words[:1] in (["help"], ["--help"], ["-h"]) and words[1:2] and words[1] in known:
        return _flags_of(asked, name, registry[f"{family}.{words[1]}"])
    if not words or words[0] in ("help", "--help", "-h"):
        return [
            private(
                asked.asker, asked.key, f"{name} can do this", form="list", lines=_help(asked, name, registry)
            )
        ]
    word, rest = words[0], list(asked.words[1:])
    if word not in known:
        guess = ELSEWHERE.get(word) if name == "/pipeline" else None
        guess = guess or complete_word(word, known)
        hint = f"Did you mean `{name} {guess}`?" if guess else f"There are: {', '.join(known)}."
        raise Refused(f"I don't know `{name} {cut(word, 40)}`.", f"{hint} `{name} help` explains them.")
    operation = registry[f"{family}.{word}"]
    if any(token in ("help", "--help", "-h") for token in rest):
        return _flags_of(asked, name, operation)
    try:
        params = parse(operation, rest)
    except UsageError as error:
        raise Refused(str(error), f"`{name} {word} help` shows its flags.") from error
    other = operation.instead(params)
    return start(asked, registry[other] if other else operation, params)


def _flags_of(asked: Asked, name: str, operation: Operation) -> list[Outbound]:
    lines = [f"{p.flag}: {p.help}" for p in operation.params]
    flags = usage(operation).removeprefix(" ".join(operation.words))
    head = f"{operation.summary}.\nUsage: `{name} {operation.words[-1]}{flags}`"
    return [
        private(asked.asker, asked.key, head, form="list", lines=lines or ["It has no flags of its own."])
    ]


def _help(asked: Asked, name: str, registry: Mapping[str, Operation]) -> list[str]:
    """Only what the asker may run is listed."""
    family = FAMILIES[name]
    incident = asked.tx.incident_of_channel(asked.asker.channel) if asked.asker.channel else None
    lines = []
    for op_name, operation in ((n, registry[n]) for n in registry if n.startswith(f"{family}.")):
        run = _run(asked, operation, {}, "", incident, {})
        try:
            gates.check(asked.house, asked.tx, run, asked.person.name if asked.person else None)
        except Refused:
            continue
        lines.append(f"{name} {op_name.partition('.')[2]}: {operation.summary}")
    return lines


def start(
    asked: Asked, operation: Operation, params: Mapping[str, Any], step: str = "", walk: str = ""
) -> list[Outbound]:
    """Ask for a run; the answer comes when it is there. Raises Refused.

    ``step`` is the reference of the runbook's step that it is, ``walk`` the runbook outside an incident.
    """
    incident = asked.tx.incident_of_channel(asked.asker.channel) if asked.asker.channel else None
    pipeline = _pipeline(asked, operation, params, incident)
    attached = incident
    if attached is None and operation.risk != "read":
        attached = next((i.id for i in asked.tx.incidents(active=True) if _stream(i, pipeline)), None)
    reply: dict[str, Any] = {
        "channel": asked.asker.channel,
        "user": asked.asker.user,
        "response_url": asked.asker.response_url,
        "in_incident": incident is not None,
    }
    if walk:
        reply["walk"] = walk
    run = _run(asked, operation, params, pipeline, attached, reply, step)
    gates.check(asked.house, asked.tx, run, asked.person.name if asked.person else None)
    if (twin := _twin(asked, run)) is not None:
        what = "is shown already" if twin.state == "planned" else "is being made already"
        return [private(asked.asker, asked.key, f"The plan for {operation.name} {what}.")]
    runs.ask(asked.tx, run)
    what = "Looking" if operation.risk == "read" else "Planning"
    return [
        private(asked.asker, f"{asked.key}:begun", f"{what}: {operation.command.lstrip('/')} on {pipeline} …")
    ]


TWICE = timedelta(seconds=10)


def _twin(asked: Asked, run: Run) -> Run | None:
    """The same change, asked for by the same person a moment ago: a double click is one plan."""
    if run.risk == "read":
        return None
    same = (run.incident, run.params, run.requested_by, run.step)
    for other in asked.tx.recent_runs(run.pipeline, run.operation, asked.now - TWICE):
        if (
            other.state in ("asked", "working", "planned")
            and (other.incident, other.params, other.requested_by, other.step) == same
        ):
            return other
    return None


def _stream(incident: Any, pipeline: str) -> bool:
    return bool(incident.pipeline == pipeline and incident.family == "stream" and not incident.private)


def _run(
    asked: Asked,
    operation: Operation,
    params: Mapping[str, Any],
    pipeline: str,
    incident: int | None,
    reply: Mapping[str, Any],
    step: str = "",
) -> Run:
    return Run(
        id=f"run:{asked.key}",
        operation=operation.name,
        pipeline=pipeline,
        params=dict(params),
        state="asked",
        requested_by=asked.name,
        created_at=asked.now,
        incident=incident,
        step=step,
        risk=str(operation.gate),
        reply=reply,
    )


def _pipeline(asked: Asked, operation: Operation, params: Mapping[str, Any], incident: int | None) -> str:
    """The pipeline that is meant: the flag's, the incident's, the only one. Raises Refused with their names."""
    names = [p.name for p in asked.house.pipelines]
    named = params.get("pipeline")
    if named:
        if named not in names:
            guess = complete_word(str(named), names)
            hint = f"Did you mean {guess}?" if guess else f"There are: {', '.join(names)}."
            raise Refused(f"There is no pipeline {named} in pipelines.yaml.", hint)
        return str(named)
    if (
        incident is not None
        and (found := asked.tx.incident(incident)) is not None
        and found.pipeline in names
    ):
        return found.pipeline
    if len(names) == 1 or (operation.every_pipeline and names):
        return names[0]
    raise Refused("Which pipeline?", f"Name it with --pipeline. There are: {', '.join(names) or 'none'}.")
