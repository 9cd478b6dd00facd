"""Runs of operations: asked, planned, confirmed, approved, done; the gates of the design, "Operations".

A confirmed plan runs once: its run id is the idempotency key, and the state moves by compare-and-set.
Two changes of one pipeline never run at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core import lifecycle
from bot.core.book import Barred, Entry
from bot.core.incident import Incident
from bot.core.paging import next_level, page_by_hand
from bot.core.refusal import Refused
from bot.core.text import cut
from bot.desk import gates
from bot.desk.answers import to
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Run, Tx
from bot.desk.reports import reading_row, report_row
from bot.desk.steps import finished, must_stand, note_of_run, place_of
from pipeline.operations.base import Plan
from pipeline.report import Report

_IN_WORDS = {
    "approval": "confirmed",
    "unknown": "interrupted",
    "working": "being made",
    "asked": "being made",
}
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
        _write_down(tx, run, event, actor, data)
    return incident


def _write_down(tx: Tx, run: Run, what: str, actor: str, data: Mapping[str, Any]) -> None:
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
    if not tx.move_run(
        run.id,
        ["asked", "working"],
        to_state,
        plan=raw,
        digest=plan.digest,
        risk=str(plan.risk),
        error=plan.refusal or "",
    ):
        return
    run = tx.run(run.id) or run
    note(tx, house, run, "planned", run.requested_by, summary=plan.summary, digest=plan.digest)
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
    summary = run.plan.get("summary", run.operation)
    says = {
        "planned": f"Plan for {run.pipeline}: {summary}",
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
    if run.state == "approval":
        confirm = {"title": "Approve as the second person", "text": what, "ok": "Approve", "deny": "Back"}
        first = {
            "action": "plan_approve",
            "label": f"Approve {run.operation}",
            "style": "danger",
            "confirm": confirm,
        }
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
            "style": "primary",
            "confirm": confirm,
        }
        if run.risk == "destructive":
            first["style"] = "danger"
    cancel = {"action": "plan_cancel", "label": "Drop this plan", "value": run.id}
    return [{**first, "value": run.id}, cancel]


def _planned_run(tx: Tx, run_id: str) -> Run:
    run = tx.run(run_id)
    if run is None:
        raise Refused("This plan is not known any more.", "Ask for it again.")
    return run


def confirm(tx: Tx, house: House, run_id: str, person: str | None, reply: Mapping[str, Any]) -> str:
    """The requester, or anybody who may, confirms; returns what to tell them besides the plan's message,
    or "". Raises Refused."""
    run = _planned_run(tx, run_id)
    gates.check(house, tx, run, person)
    if not _fresh(tx, house, run, "planned", person, reply):
        return gates.TOO_OLD
    if run.step:
        must_stand(tx, place_of(run), run.step)
    gates.unaltered(tx, run)
    gates.may_repeat_restart(tx, house, run, person)
    needs_second = gates.needs_second(house, run)
    glass = str(run.params.get("break_glass") or "")
    if needs_second and glass:
        _break_glass(tx, house, run, person or "", glass)
        needs_second = False
    gates.not_while_running(tx, run)
    state = "approval" if needs_second else "confirmed"
    changes = {"confirmed_by": person or "", "reply": {**run.reply, **reply}}
    if not tx.move_run(run_id, ["planned"], state, **changes):
        raise _late(run, "Somebody was faster: this plan is being run, or is done, already.")
    note(tx, house, run, "plan_confirmed", person or "")
    show_plan(tx, house, _planned_run(tx, run_id), state)
    return ""


def approve(tx: Tx, house: House, run_id: str, person: str | None, reply: Mapping[str, Any]) -> str:
    """A second person, different, authorised, within 15 minutes, once; returns as ``confirm`` does. Raises
    Refused."""
    run = _planned_run(tx, run_id)
    gates.check_second(house, tx, run, person)
    if not _fresh(tx, house, run, "approval", person, reply):
        return gates.TOO_OLD
    gates.unaltered(tx, run)
    gates.not_while_running(tx, run)
    changes = {"approved_by": person or "", "reply": {**run.reply, **reply}}
    if not tx.move_run(run_id, ["approval"], "confirmed", **changes):
        raise _late(run, "This was approved already.")
    note(tx, house, run, "plan_approved", person or "")
    show_plan(tx, house, _planned_run(tx, run_id), "confirmed")
    return ""


def cancel(tx: Tx, house: House, run_id: str, person: str | None, reply: Mapping[str, Any]) -> None:
    """Whoever may respond may cancel a plan that does not run yet."""
    run = _planned_run(tx, run_id)
    gates.check(house, tx, run, person)
    changed = tx.move_run(run_id, ["planned", "approval"], "cancelled", reply={**run.reply, **reply})
    if not changed:
        raise _late(
            run, f"This plan is {_IN_WORDS.get(run.state, run.state)}; it cannot be cancelled any more."
        )
    note(tx, house, run, "plan_cancelled", person or "")
    show_plan(tx, house, _planned_run(tx, run_id), "cancelled")


def _late(run: Run, reason: str, remedy: str = "") -> Barred:
    return Barred(reason, remedy, subject=run.id, incident=run.incident)


def _fresh(tx: Tx, house: House, run: Run, state: str, person: str | None, reply: Mapping[str, Any]) -> bool:
    """False: the plan is too old; it is ended, and its message says so. Raises Barred for any other state."""
    if run.state != state:
        raise _late(
            run, f"This plan is {_IN_WORDS.get(run.state, run.state)} already.", "Ask for a new plan."
        )
    if gates.fresh(tx, run):
        return True
    if tx.move_run(run.id, [state], "expired", reply={**run.reply, **reply}):
        show_plan(tx, house, _planned_run(tx, run.id), "expired")
        asked = f"to {'approve' if state == 'approval' else 'confirm'} {run.operation}"
        gates.write_refusal(tx, house, _late(run, gates.TOO_OLD), person or lifecycle.BOT, asked)
    return False


def _break_glass(tx: Tx, house: House, run: Run, person: str, reason: str) -> None:
    incident = gates.incident_of(tx, run)
    if incident is None or incident.severity != "critical":
        raise _late(run, "Breaking the glass needs a critical incident.", "Ask a second person to approve.")
    now = tx.now()
    events = [lifecycle.event("break_glass", now, person, operation=run.operation, reason=reason)]
    level = next_level(incident)
    events += page_by_hand(incident, level, live(tx, house).roster, now, person, f"broke the glass: {reason}")
    change(tx, house, incident, incident.id, events)
    _write_down(tx, run, "break_glass", person, {"reason": reason})


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
