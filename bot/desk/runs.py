"""Runs of operations: asked, planned, confirmed, approved, done; the gates of the design, "Operations".

A confirmed plan runs once: its run id is the idempotency key, and the state moves by compare-and-set.
Two changes of one pipeline never run at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.core import lifecycle
from bot.core.book import Barred, Entry
from bot.core.incident import Incident
from bot.core.text import cut
from bot.desk import gates
from bot.desk.answers import to
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.ports import Run, Tx
from bot.desk.reports import reading_row, report_row
from bot.desk.steps import finished, note_of_run
from pipeline.operations.base import Plan
from pipeline.report import Report

LOOK = "Look with `/pipeline health`, then plan again."
FINISHED = ("done", "failed", "cancelled", "unknown", "expired")


def ask(tx: Tx, run: Run) -> None:
    """Put a run before the operator; the same id again changes nothing."""
    if tx.run(run.id) is None:
        tx.put_run(run)


def note(tx: Tx, house: House, run: Run, event: str, actor: str, **data: Any) -> Incident | None:
    """Write a phase of the run on the timeline of its incident, or of the runbook that it is a step of; what is
    no mere reading also into the audit book."""
    incident = gates.incident_of(tx, run)
    if run.reply.get("walk"):
        note_of_run(tx, house, run, event, actor, **data)
    elif run.step:
        data["ref"] = run.step
    if incident is not None:
        item = lifecycle.event(event, tx.now(), actor, run=run.id, operation=run.operation, **data)
        incident = change(tx, house, incident, incident.id, [item])
    if run.risk != "read":
        write_down(tx, run, event, actor, data)
    return incident


def write_down(tx: Tx, run: Run, what: str, actor: str, data: Mapping[str, Any]) -> None:
    """A phase of the run in the audit book."""
    kept = {name: data[name] for name in ("digest", "verdict", "reason") if name in data}
    told = {"operation": run.operation, "pipeline": run.pipeline, **kept}
    tx.write_down(
        Entry(at=tx.now(), actor=actor, what=what, subject=run.id, incident=run.incident, data=told)
    )


# --- the plan ---------------------------------------------------------------------------------------------


def planned(tx: Tx, house: House, run: Run, plan: Plan) -> None:
    """Show the plan with its buttons, or why it is refused."""
    raw = plan.to_json()
    state = "refused" if plan.refusal else "planned"
    to_state = "cancelled" if plan.refusal else "planned"
    if run.params.get("dry_run"):
        state, to_state = "dry run", "done"
    digest = gates.seal(house, replace(run, risk=str(plan.risk)), plan)
    if not tx.move_run(
        run.id,
        ["asked", "working"],
        to_state,
        plan=raw,
        digest=digest,
        risk=str(plan.risk),
        error=plan.refusal or "",
    ):
        return
    run = tx.run(run.id) or run
    note(tx, house, run, "planned", run.requested_by, summary=plan.summary, digest=digest)
    show_plan(tx, house, run, state)


def show_plan(tx: Tx, house: House, run: Run, state: str, **extra: Any) -> None:
    """Post or edit the plan's message."""
    incident = gates.incident_of(tx, run)
    buttons = _plan_buttons(house, run) if state in ("planned", "approval") else []
    tx.enqueue(
        [
            to(
                run.reply,
                f"plan:{run.id}",
                incident,
                replaces=True,
                in_channel=True,
                form="plan",
                text=_plan_text(run, state),
                plan=dict(run.plan),
                state=state,
                buttons=buttons,
                metadata={
                    "event_type": "streamwatch_plan",
                    "event_payload": {
                        "incident": f"INC-{run.incident}" if run.incident else "",
                        "run": run.id,
                        "operation": run.operation,
                        "digest": run.digest[:16],
                    },
                },
                **extra,
            )
        ]
    )


def _plan_text(run: Run, state: str) -> str:
    summary = str(run.plan.get("summary", run.operation))
    says = {
        "planned": summary,
        "refused": f"Not possible now: {run.plan.get('refusal')}",
        "dry run": f"Dry run, nothing is changed: {summary}",
        "approval": f"Confirmed by {run.confirmed_by}; a second person must approve: {summary}",
        "confirmed": f"Confirmed by {run.confirmed_by}: {summary}",
        "cancelled": f"Cancelled: {summary}",
        "expired": f"The plan is older than 15 minutes; plan again: {summary}",
        "done": f"Done: {summary}",
        "failed": f"Failed: {summary}",
        "unknown": f"Interrupted, outcome unknown. {LOOK} It was: {summary}",
    }
    return says.get(state, f"{state}: {summary}")


def _plan_buttons(house: House, run: Run) -> list[dict[str, Any]]:
    # Slack's dialog holds 300 characters; the button's own words are its title.
    summary = str(run.plan.get("summary", "")).rstrip(".")
    what = f"{cut(summary, 200)}. {run.operation} on {run.pipeline} ({gates.environment(house, run)})"
    first: dict[str, Any]
    if run.state == "approval":
        confirm = {"title": "Approve as the second person", "text": what, "ok": "Approve", "deny": "Back"}
        first = {
            "action": "plan_approve",
            "label": f"Approve {run.operation}",
            "style": "danger",
            "confirm": confirm,
        }
    elif gates.needs_typing(house, run):
        # The form that it opens is the question; a dialog in front of it would only be one more click.
        first = {"action": "plan_confirm", "label": f"Run {run.operation} …", "style": "danger", "asks": True}
    else:
        confirm = {
            "title": f"Run {run.operation}?",
            "text": f"{what}.",
            "ok": "Run it",
            "deny": "Back",
        }
        first = {
            "action": "plan_confirm",
            "label": f"Run {run.operation}",
            "style": "danger" if run.risk == "destructive" else "primary",
            "confirm": confirm,
        }
    cancel = {"action": "plan_cancel", "label": "Drop this plan", "value": run.id}
    return [{**first, "value": run.id}, cancel]


# --- running ----------------------------------------------------------------------------------------------


def started(tx: Tx, house: House, run: Run) -> bool:
    """The operation begins; False: it must not, and ended as failed, with its reason."""
    try:
        gates.still_right(tx, house, run)
    except Barred as barred:
        failed(tx, house, run, str(barred))
        gates.write_refusal(
            tx, house, barred, run.confirmed_by or run.requested_by, f"to run {run.operation}"
        )
        return False
    note(tx, house, run, "operation_started", run.confirmed_by or run.requested_by)
    return True


def progress(tx: Tx, house: House, run: Run, text: str, done: int | None, total: int | None) -> None:
    """How far it is: one message, edited in place."""
    incident = gates.incident_of(tx, run)
    if incident is None:
        return
    tx.enqueue(
        [
            to(
                {"in_incident": True},
                f"progress:{run.id}",
                incident,
                replaces=True,
                form="progress",
                text=text,
                done=done,
                total=total,
                operation=run.operation,
            )
        ]
    )


def read_done(tx: Tx, house: House, run: Run, report: Report) -> None:
    """A reading is finished: answer, timeline, and the next step of a runbook."""
    if not tx.move_run(run.id, ["asked", "working"], "done", report=report.to_json()):
        return
    findings = [f.id for f in report.findings]
    reading_row(tx, run, gates.incident_of(tx, run), report, findings)
    note(
        tx,
        house,
        run,
        "reported",
        run.requested_by,
        verdict=report.verdict,
        severity=report.severity,
        findings=findings,
    )
    if run.step:
        finished(tx, house, run, report.verdict, findings, report.severity)


def change_done(tx: Tx, house: House, run: Run, report: Report, verified: Report | None) -> None:
    """A change was run, and looked at afterwards."""
    worst = verified or report
    if not tx.move_run(run.id, ["running"], "done", report=worst.to_json()):
        return
    note(
        tx, house, run, "operation_finished", run.confirmed_by, verdict=report.verdict, severity=report.severity,
        data=dict(report.data),
    )  # fmt: skip
    report_row(tx, run, gates.incident_of(tx, run), report, "done")
    if verified is not None:
        note(
            tx,
            house,
            run,
            "operation_verified",
            lifecycle.BOT,
            verdict=verified.verdict,
            severity=verified.severity,
        )
        report_row(tx, run, gates.incident_of(tx, run), verified, "verified")
    show_plan(tx, house, run, "done")
    if run.step:
        finished(tx, house, run, worst.verdict, [f.id for f in worst.findings], worst.severity)


def failed(tx: Tx, house: House, run: Run, error: str) -> None:
    """It could not be done: what happened, in the words of the operation."""
    if not tx.move_run(run.id, ["asked", "working", "running", "confirmed"], "failed", error=error):
        return
    incident = note(
        tx, house, run, "operation_finished", run.requested_by, verdict=f"failed: {error}", severity="unknown",
        failed=error,
    )  # fmt: skip
    row = to(
        run.reply, f"failed:{run.id}", incident, form="text", text=f"{run.operation} did not work: {error}"
    )
    if not run.reply.get("quiet"):
        tx.enqueue([row])
    if run.plan:
        show_plan(tx, house, run, "failed")
    if run.step and run.risk == "read":
        finished(tx, house, run, f"could not be measured: {error}", ["unknown"], "unknown")


def interrupted(tx: Tx, house: House, run: Run) -> None:
    """Its process died in the middle and it may not be repeated blindly: ask a person."""
    if not tx.move_run(run.id, ["running"], "unknown"):
        return
    note(tx, house, run, "operation_unknown", lifecycle.BOT, remedy=LOOK)
    show_plan(tx, house, run, "unknown")
