"""What people decide about a plan: confirm it, with its target's name typed where it destroys on production; approve
it as the second person; cancel it. Each once, while the plan is fresh and the one that was shown (design,
"Operations").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.core import lifecycle
from bot.core import roster as rosters
from bot.core.asks import FormErrors, OpenForm
from bot.core.book import Barred
from bot.core.paging import next_level, page_by_hand
from bot.core.policy import Level
from bot.core.refusal import Refused
from bot.core.text import cut
from bot.desk import gates
from bot.desk.change import change
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Run, Tx
from bot.desk.runs import note, show_plan, write_down
from bot.desk.steps import must_stand, place_of

FORM = "plan_confirm"
TARGET = "target"
_IN_WORDS = {
    "approval": "confirmed",
    "unknown": "interrupted",
    "working": "being made",
    "asked": "being made",
}


def _planned_run(tx: Tx, run_id: str) -> Run:
    run = tx.run(run_id)
    if run is None:
        raise Refused("This plan is not known any more.", "Ask for it again.")
    return run


def confirm(
    tx: Tx, house: House, run_id: str, person: str | None, reply: Mapping[str, Any], typed: str | None = None
) -> str | OpenForm:
    """Whoever may confirms; what to tell them besides the plan's message, or "".

    Where the target must be typed and ``typed`` is None it is the form that asks for it, and nothing is changed.
    Raises Refused, and FormErrors for a name that is not the target's.
    """
    run = _planned_run(tx, run_id)
    gates.check(house, tx, run, person)
    if not _fresh(tx, house, run, "planned", person, reply):
        return gates.TOO_OLD
    if run.step:
        must_stand(tx, place_of(run), run.step)
    gates.unaltered(house, tx, run)
    gates.may_repeat_restart(tx, house, run, person)
    gates.not_while_running(tx, run)
    if gates.needs_typing(house, run):
        if typed is None:
            return _form(house, run, reply)
        if typed.strip() != run.pipeline:
            raise FormErrors(
                {TARGET: f"That is not its name. Type {run.pipeline} to run this; nothing was run."}
            )
    needs_second = gates.needs_second(house, run)
    glass = str(run.params.get("break_glass") or "")
    if needs_second and glass:
        _break_glass(tx, house, run, person or "", glass)
        needs_second = False
    state = "approval" if needs_second else "confirmed"
    changes: dict[str, Any] = {"confirmed_by": person or "", "reply": {**run.reply, **reply}}
    if not tx.move_run(run_id, ["planned"], state, **changes):
        raise _late(run, "Somebody was faster: this plan is being run, or is done, already.")
    note(tx, house, run, "plan_confirmed", person or "", **({"typed": typed.strip()} if typed else {}))
    show_plan(tx, house, _planned_run(tx, run_id), state)
    return ""


def _form(house: House, run: Run, reply: Mapping[str, Any]) -> OpenForm:
    """The dialog in which the target's name is typed."""
    values = {
        "target": run.pipeline,
        "what": f"{run.operation} on {run.pipeline} ({gates.environment(house, run)})",
        "summary": cut(str(run.plan.get("summary", "")), 500),
        "then": "" if run.params.get("break_glass") else "After that a second person must approve it.",
    }
    context = json.dumps({"run": run.id, "reply": dict(reply)})
    return OpenForm(name=FORM, title=f"Run {run.operation}?", context=context, values=values)


def submitted(
    tx: Tx, house: House, context: str, person: str | None, typed: str
) -> tuple[str, Mapping[str, Any]]:
    """The form sent: what to tell whoever sent it besides the plan's message, and where their click came from.

    Raises FormErrors for a name that is not the target's, and Refused.
    """
    wanted = json.loads(context)
    reply = dict(wanted["reply"])
    return str(confirm(tx, house, str(wanted["run"]), person, reply, typed)), reply


def approve(tx: Tx, house: House, run_id: str, person: str | None, reply: Mapping[str, Any]) -> str:
    """A second person, different, authorised, within 15 minutes, once; returns as ``confirm`` does. Raises
    Refused."""
    run = _planned_run(tx, run_id)
    gates.check_second(house, tx, run, person)
    if not _fresh(tx, house, run, "approval", person, reply):
        return gates.TOO_OLD
    gates.unaltered(house, tx, run)
    gates.not_while_running(tx, run)
    changes: dict[str, Any] = {"approved_by": person or "", "reply": {**run.reply, **reply}}
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
            run,
            "This plan was cancelled already."
            if run.state == "cancelled"
            else f"This plan is {_IN_WORDS.get(run.state, run.state)}; it cannot be cancelled any more.",
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
    """Rules: Operations at 03:10: whoever is on call, in a critical incident; it pages L2, for L2's own the next level,
    and waits for nobody."""
    incident = gates.incident_of(tx, run)
    if incident is None or incident.severity != "critical":
        raise _late(run, "Breaking the glass needs a critical incident.", "Ask a second person to approve.")
    now, roster = tx.now(), live(tx, house).roster
    held = rosters.level_of(roster, person, now)
    if held is None:
        on_call = ", ".join(p.name for p in rosters.holders(roster, Level.L1, now)) or "L2 and above"
        raise _late(run, "Breaking the glass is for whoever is on call.", f"These people may: {on_call}.")
    events = [lifecycle.event("break_glass", now, person, operation=run.operation, reason=reason)]
    level = Level.L2 if held is Level.L1 else next_level(incident)
    events += page_by_hand(incident, level, roster, now, person, f"broke the glass: {reason}")
    change(tx, house, incident, incident.id, events)
    write_down(tx, run, "break_glass", person, {"reason": reason})
