"""dlq.peek: what dead letters look like, masked; every one of them stays in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.deadletters import causes, groups
from pipeline.masking import mask_payload, mask_text
from pipeline.operations.base import Context, Param, ReadOperation
from pipeline.operations.dlq import sample, subscription_of
from pipeline.quality import CAUSE_IDS
from pipeline.report import Evidence, Finding, NextStep, Report, Table, clock, plural

_EXAMPLES = 10


class DlqPeek(ReadOperation):
    """A sample, not an order and not a count."""

    name = "dlq.peek"
    words = ("dlq", "peek")
    summary = "Show dead letters by error, masked, and leave them in the queue"
    params = (
        Param(name="limit", type=int, default=50, help="how many to look at", minimum=1, maximum=10000),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        name = subscription_of(ctx)
        with sample(ctx, int(params.get("limit") or 50)) as held:
            now = ctx.now()
            table = groups(held, now)
            by_cause = causes(held)
            examples = tuple(
                (
                    one.id,
                    clock(one.published, now),
                    one.letter.event_type,
                    mask_text(one.letter.error)[:200] or one.letter.group,
                    str(one.letter.replay_count),
                    mask_payload(one.letter.payload, 400),
                )
                for one in held[:_EXAMPLES]
            )
            seen = len(held)
        findings = [
            Finding(
                CAUSE_IDS[cause],
                "info",
                f"{plural(count, 'message')}: {cause}.",
                (Evidence(cause, count, "messages", now),),
            )
            for cause, count in by_cause.most_common()
        ]
        if not seen:
            findings.append(Finding("empty", "ok", f"{name} gave no message."))
        findings.append(Finding("left", "ok", f"Nothing was taken out of {name}."))
        columns = ("message", "published", "type", "error", "replays", "payload (masked)")
        return Report(
            operation=self.name,
            pipeline=ctx.pipeline.name,
            title=f"Dead letters of {ctx.pipeline.name}",
            verdict=_verdict(name, seen, table),
            severity="info" if seen else "ok",
            as_of=now,
            findings=tuple(findings),
            tables=(table, Table("Examples", columns, examples)) if seen else (),
            next=(NextStep("Replay what passes now", "dlq.replay"),) if seen else (),
            data={"seen": seen, "causes": dict(by_cause)},
        )


def _verdict(name: str, seen: int, table: Table) -> str:
    if not seen:
        return f"{name} gave no message; it is empty or others hold its messages at the moment."
    kinds = plural(len(table.rows), "kind")
    most = table.rows[0][3]
    return f"{plural(seen, 'dead letter')} of {name} in {kinds}, most often “{most}”; all stay in the queue."
