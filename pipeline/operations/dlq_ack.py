"""dlq.ack: delete dead letters after review.  Exported first, read back, and only then acknowledged.

What is deleted is what was shown: only kinds of the plan, and nothing that came after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pipeline import exports
from pipeline.deadletters import Held, groups
from pipeline.errors import Refused
from pipeline.operations.base import (
    ChangeOperation,
    Context,
    Param,
    Plan,
    Progress,
    ProgressSink,
    Risk,
    plan_id,
)
from pipeline.operations.dlq import guarded, held, sample, subscription_of
from pipeline.report import Evidence, Finding, NextStep, Report, number, plural

if TYPE_CHECKING:
    from pipeline.google.pubsub import Message

_LEASE_S: Final = 600
_TAKE_S: Final = 120.0
_KINDS_SHOWN: Final = 12


class DlqAck(ChangeOperation):
    """Takes reviewed dead letters out of the queue for good."""

    name = "dlq.ack"
    words = ("dlq", "ack")
    summary = "Delete reviewed dead letters; they are exported first and read back"
    params = (
        Param(name="limit", type=int, default=1000, help="how many at most", minimum=1, maximum=10000),
        Param(
            name="rule", type=str, default=None, help="only those that broke this rule, e.g. currency:format"
        ),
    )
    risk = Risk.DESTRUCTIVE
    resumable = True

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Plan:
        limit, rule = int(params.get("limit") or 1000), params.get("rule") or None
        name, directory = subscription_of(ctx), exports.folder()
        with sample(ctx, limit) as looked_at:
            now = ctx.now()
            wanted = [one for one in looked_at if rule is None or one.letter.breaks(str(rule))]
        kinds = sorted({one.letter.group for one in wanted})
        refusal = None
        if not wanted:
            which = f" that broke {rule}" if rule else ""
            refusal = f"There is nothing to delete: {name} gave no message{which}."
        return Plan(
            id=plan_id(),
            operation=self.name,
            pipeline=ctx.pipeline.name,
            params={"limit": limit, "rule": rule},
            summary=f"Delete {plural(len(wanted), 'dead letter')} of {name} ({len(looked_at)} looked at).",
            effects=_effects(wanted, now, name, str(directory)),
            warnings=_warnings(wanted, ctx) if wanted else (),
            refusal=refusal,
            risk=Risk.DESTRUCTIVE,
            made_at=now,
            data={"subscription": name, "going": len(wanted), "kinds": kinds},
        )

    def run(self, ctx: Context, plan: Plan, progress: ProgressSink) -> Report:
        from pipeline.google import pubsub

        if plan.refusal:
            raise Refused(plan.refusal)
        queue, project = guarded(ctx).name, ctx.pipeline.project
        directory = exports.folder()
        messages = pubsub.take(
            ctx.clients,
            project,
            queue,
            int(plan.params["limit"]),
            lease_s=_LEASE_S,
            budget_s=_TAKE_S,
            progress=lambda count: progress(Progress(f"{number(count)} taken")),
        )
        kept: list[Message] = messages
        try:
            chosen = _chosen(plan, messages)
            export = exports.write(directory, _file(plan), chosen) if chosen else None
            if export is not None:
                progress(Progress(f"{number(len(export.ids))} exported to {export.path}, read back"))
                # From here on the messages are in the file; a kill leaves them in both places.
                pubsub.acknowledge(ctx.clients, project, queue, [m for m in chosen if m.id in export.ids])
                kept = [m for m in messages if m.id not in export.ids]
        finally:
            pubsub.release(ctx.clients, project, queue, kept)
        return _report(ctx, plan, export, len(kept))

    def verify(self, ctx: Context, plan: Plan) -> Report:
        """Looks whether any message of the export is still in the queue."""
        gone = exports.exported_ids(exports.folder(), _file(plan))
        with sample(ctx, int(plan.params["limit"])) as looked_at:
            left = [one for one in looked_at if one.id in gone]
        return _verified(ctx, plan, len(gone), len(left), len(looked_at))


def _file(plan: Plan) -> str:
    return f"{plan.pipeline}-{plan.id}"


def _chosen(plan: Plan, messages: Sequence[Message]) -> list[Message]:
    """Of what the queue gave, that which a person saw and confirmed."""
    kinds, rule = set(plan.data["kinds"]), plan.params["rule"]
    chosen = []
    for message in messages:
        letter = held(message).letter
        shown = message.published <= plan.made_at and letter.group in kinds
        if shown and (rule is None or letter.breaks(rule)):
            chosen.append(message)
    return chosen[: int(plan.data["going"])]


def _effects(wanted: Sequence[Held], now: Any, name: str, directory: str) -> tuple[str, ...]:
    if not wanted:
        return ()
    rows = groups(wanted, now).rows
    lines = [f"{row[0]}: {row[1]}, {row[3]} ({row[4]})" for row in rows[:_KINDS_SHOWN]]
    if len(rows) > _KINDS_SHOWN:
        lines.append(f"and {len(rows) - _KINDS_SHOWN} more kinds")
    return (
        *lines,
        f"First all are exported, unmasked, to {directory} and read back; only then {name} forgets them.",
        "What came after this plan, and kinds that are not listed, stay in the queue.",
    )


def _warnings(wanted: Sequence[Held], ctx: Context) -> tuple[str, ...]:
    from pipeline.deadletters import decide

    passing = sum(decide(one.letter, ctx.pipeline, None).fate == "replay" for one in wanted)
    out = ["The queue cannot give them back; the exported file is then all there is of them."]
    if passing:
        out.append(
            f"{plural(passing, 'of them passes', 'of them pass')} validation now; replay these instead."
        )
    return tuple(out)


def _report(ctx: Context, plan: Plan, export: exports.Export | None, stayed: int) -> Report:
    now = ctx.now()
    if export is None:
        verdict = "Nothing was deleted: the messages of the plan are held by others, or gone already."
        finding = Finding("deleted", "info", verdict)
    else:
        count = len(export.ids)
        verdict = f"Deleted {plural(count, 'dead letter')} after their export to {export.path} was read back."
        evidence = (
            Evidence("deleted", count, "messages", now),
            *((Evidence("seen and left in the queue", stayed, "messages", now),) if stayed else ()),
        )
        finding = Finding("deleted", "ok", verdict, evidence)
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title=f"Dead letters of {plan.pipeline} deleted",
        verdict=verdict,
        severity=finding.severity,
        as_of=now,
        findings=(finding,),
        next=(NextStep("Look at what is left", "dlq.peek"),) if stayed else (),
        data={
            "plan": plan.id,
            "deleted": len(export.ids) if export else 0,
            "file": str(export.path) if export else None,
            "stayed": stayed,
        },
    )


def _verified(ctx: Context, plan: Plan, gone: int, left: int, seen: int) -> Report:
    if left:
        text = f"{plural(left, 'deleted message')} of {gone} came again; Pub/Sub had not taken the acknowledgement."
        finding = Finding("verified", "warning", text)
    else:
        text = f"Verified: none of the {plural(gone, 'deleted message')} is in the queue; {seen} others seen there."
        finding = Finding("verified", "ok", text)
    return Report(
        operation=plan.operation,
        pipeline=plan.pipeline,
        title="Deletion verified" if not left else "Deletion not verified",
        verdict=text,
        severity=finding.severity,
        as_of=ctx.now(),
        findings=(finding,),
        data={"deleted": gone, "came_again": left, "left_seen": seen},
    )
