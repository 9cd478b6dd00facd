"""The gates of a run: who may, whether the plan is the one that was shown, and again when it is carried out.

Each refusal is a `Barred`, which the front desk writes into the audit book (design, "Operations"; rules:
"Operations at 03:10").
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from bot.core import access, lifecycle
from bot.core.access import Denied
from bot.core.book import FORGED, REFUSED, Barred, Entry
from bot.core.incident import Incident, stamp
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Run, Tx
from pipeline.operations.base import Plan

PLAN_LIVES = timedelta(minutes=15)
RESTART_WINDOW = timedelta(minutes=30)
# A plan waits before it is confirmed, and a restart takes its time: it is sought by when it was asked for.
_ASKED_BEFORE = timedelta(days=1)
TOO_OLD = "This plan is older than 15 minutes and may no longer fit. Ask for a new one."
ALTERED = "This plan is not the one that was shown: it was changed since. Nothing is run; plan again."


def environment(house: House, run: Run) -> str:
    """The environment of the run's pipeline; one that no file claims counts as production."""
    pipeline = house.pipeline(run.pipeline)
    return pipeline.environment if pipeline is not None else "production"


def needs_second(house: House, run: Run) -> bool:
    """Whether a second person must approve: destructive, on production."""
    return run.risk == "destructive" and environment(house, run) == "production"


def needs_typing(house: House, run: Run) -> bool:
    """Whether whoever confirms types the target's name, as the terminal asks for: what destroys, on production."""
    return needs_second(house, run)


def incident_of(tx: Tx, run: Run) -> Incident | None:
    """The incident that the run belongs to."""
    return tx.incident(run.incident) if run.incident is not None else None


def _barred(run: Run, reason: str, denied: Denied | None = None, remedy: str = "") -> Barred:
    if denied is not None and denied.who_may:
        remedy = f"These people may: {', '.join(denied.who_may)}."
    return Barred(reason, remedy, subject=run.id, incident=run.incident)


def check(house: House, tx: Tx, run: Run, person: str | None) -> None:
    """Judge who acts, again at every click. Raises Barred."""
    action: access.Action = "destructive" if run.risk == "destructive" else "change"
    if run.risk == "read":
        action = "read"
    allowed = access.decide(
        live(tx, house).roster,
        person,
        tx.now(),
        action,
        environment=environment(house, run),
        incident=incident_of(tx, run),
    )
    if isinstance(allowed, Denied):
        raise _barred(run, f"You may not run {run.operation}: {allowed.reason}.", allowed)


def check_second(house: House, tx: Tx, run: Run, person: str | None) -> None:
    """Whether this person may approve as the second one: different, and authorised. Raises Barred."""
    allowed = access.decide(
        live(tx, house).roster,
        person,
        tx.now(),
        "approve",
        incident=incident_of(tx, run),
        requester=run.confirmed_by,
    )
    if isinstance(allowed, Denied):
        raise _barred(run, f"You may not approve this: {allowed.reason}.", allowed)


def not_while_running(tx: Tx, run: Run) -> None:
    """Two changes of one pipeline never run at the same time. Raises Barred."""
    other = tx.running_change(run.pipeline)
    if other is not None and other.id != run.id:
        raise _barred(
            run,
            f"{other.operation} is running on {run.pipeline} already.",
            remedy="Wait for it, then plan again.",
        )


def may_repeat_restart(tx: Tx, house: House, run: Run, person: str | None) -> None:
    """The cool-down that stops a restart loop, counted from the end of the last one. Raises Barred."""
    if run.operation != "pipeline.restart":
        return
    since = tx.now() - RESTART_WINDOW
    before = [
        r
        for r in tx.recent_runs(run.pipeline, run.operation, since - _ASKED_BEFORE)
        if r.id != run.id
        and r.state in ("done", "failed", "unknown", "running")
        and (r.updated_at or r.created_at) >= since
    ]
    allowed = access.decide(live(tx, house).roster, person, tx.now(), "repeat_restart")
    if before and isinstance(allowed, Denied):
        reason = "This pipeline was restarted within the last 30 minutes; a second restart needs an L2."
        raise _barred(run, reason, allowed)


def fresh(tx: Tx, run: Run) -> bool:
    """Whether the plan is young enough to be acted on."""
    return tx.now() - datetime.fromisoformat(run.plan["made_at"]) <= PLAN_LIVES


def seal(house: House, run: Run, plan: Plan) -> str:
    """SHA-256 of everything that decides the run: the plan itself with the moment it was made, the operation with
    what was typed, the target and its environment, the risk, who asked from where, and until when it holds."""
    body = {
        "run": run.id,
        "plan": plan.digest,
        "operation": run.operation,
        "params": dict(run.params),
        "pipeline": run.pipeline,
        "environment": environment(house, run),
        "risk": run.risk,
        "requested_by": run.requested_by,
        "asked_at": stamp(run.created_at),
        "incident": run.incident,
        "step": run.step,
        "made_at": stamp(plan.made_at),
        "expires_at": stamp(plan.made_at + PLAN_LIVES),
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def unaltered(house: House, tx: Tx, run: Run) -> None:
    """What is confirmed or run must be what was planned: by the plan's own digest, by the run's seal, and by the
    one that the audit book noted when the plan was shown. Raises Barred."""
    try:
        plan = Plan.from_json(run.plan)
    except (ValueError, KeyError, TypeError) as error:
        raise _barred(run, ALTERED) from error
    shown = [str(e.data["digest"]) for e in tx.book_of(run.id) if e.what == "planned"]
    fits = (plan.operation, plan.pipeline, str(plan.risk)) == (run.operation, run.pipeline, run.risk)
    if not fits or seal(house, run, plan) != run.digest or shown[-1:] != [run.digest]:
        raise _barred(run, ALTERED)


def still_right(tx: Tx, house: House, run: Run) -> None:
    """The last look, as it is carried out: the plan, and whoever stands for it. Raises Barred.

    A run that began before its process died goes on: whoever went off shift meanwhile stood for its beginning.
    """
    unaltered(house, tx, run)
    known = tx.book_of(run.id)
    if any(e.what == "operation_started" for e in known):
        return
    check(house, tx, run, run.confirmed_by)
    confirmed = [e.actor for e in known if e.what == "plan_confirmed"]
    if confirmed[-1:] != [run.confirmed_by]:
        raise _barred(run, "The audit book knows of no such confirmation. Nothing is run; plan again.")
    if not needs_second(house, run) or run.params.get("break_glass"):
        return
    check_second(house, tx, run, run.approved_by)
    approved = [e for e in known if e.what == "plan_approved"]
    if not approved or approved[-1].actor != run.approved_by:
        raise _barred(run, "The audit book knows of no such approval. Nothing is run; plan again.")
    if approved[-1].at - datetime.fromisoformat(run.plan["made_at"]) > PLAN_LIVES:
        raise _barred(run, TOO_OLD)


# --- the book ---------------------------------------------------------------------------------------------


def write_refusal(tx: Tx, house: House, barred: Barred, actor: str, asked: str) -> None:
    """What a gate refused, in the book and on the timeline; once a minute for each, as a button can be hammered."""
    now = tx.now()
    if not tx.once("refused", f"{actor}:{asked}:{barred.subject}:{barred.reason}:{now:%Y-%m-%dT%H:%M}"):
        return
    incident = tx.incident(barred.incident) if barred.incident is not None else None
    data = {"asked": asked, "reason": barred.reason}
    if incident is not None:
        told = lifecycle.event("refused", now, actor, **data)
        change(tx, house, incident, incident.id, [told])
    tx.write_down(
        Entry(
            at=now,
            actor=actor,
            what=REFUSED,
            subject=barred.subject,
            incident=incident.id if incident is not None else None,
            data=data,
        )
    )


def write_forgeries(tx: Tx, reason: str, count: int, client: str) -> None:
    """Requests that claimed to be Slack's and were refused at the door, since that was last told."""
    data = {"reason": reason, "count": count, "client": client}
    tx.write_down(Entry(at=tx.now(), actor=lifecycle.BOT, what=FORGED, data=data))
