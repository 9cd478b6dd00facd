"""``/incident notify``: a draft to a contact, which a person edits and sends; and who has answered.

It goes where the roster says the contact is: a person gets it as a direct message, a Slack user group is called in
the channel, a mailbox gets a mail where a mail server is set. Anything else is shown, to be copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.core import lifecycle, step_words, written
from bot.core.asks import FormErrors, OpenForm
from bot.core.delivery import Outbound
from bot.core.incident import Event, Incident, stamp
from bot.core.policy import parse_duration
from bot.core.refusal import Refused
from bot.core.roster import CONTACTS, Contact, Members
from bot.core.runbook import by_name
from bot.core.text import cut, redact
from bot.desk.answers import private
from bot.desk.asked import Asked, need, which
from bot.desk.change import change, load
from bot.desk.walking import values_of
from pipeline.masking import mask_text

FORM = "notify"
REPORTS_SHOWN = 4
EXAMPLES_SHOWN = 2
REMIND_MAX = timedelta(days=7)
_USAGE = (
    f"`/incident notify CONTACT`; there are {', '.join(CONTACTS)}. "
    "`/incident notify CONTACT answered` ends the wait for an answer."
)


def notify(asked: Asked) -> list[Outbound] | OpenForm:
    """notify [ID] CONTACT: a draft message to a contact, which you edit and send; `CONTACT answered` when they did"""
    incident, rest = which(asked)
    need(asked, "respond", incident)
    subject = rest[0].lower() if rest else ""
    if subject not in CONTACTS:
        raise Refused("Notify whom?", _USAGE)
    if len(rest) > 1 and rest[1].lower() == "answered":
        answered(asked, incident, subject, " ".join(rest[2:]))
        return [private(asked.asker, asked.key, f"Noted: the {subject} contact answered.")]
    return form(asked, incident, subject)


def form(asked: Asked, incident: Incident, subject: str) -> OpenForm:
    """The modal with the draft. Raises Refused for an incident that is over and a contact that nobody named."""
    if not incident.active:
        raise Refused(f"{incident.name} is {incident.status}; nobody is written to for it any more.")
    contact = _contact(asked, subject)
    place = json.dumps({"incident": incident.id, "subject": subject})
    values = {
        "to": f"To {written.SUBJECTS[subject]}: {contact.value}. {_how(asked, contact)}",
        "text": _draft(asked, incident, subject),
        "remind": "1h",
    }
    return OpenForm(name=FORM, title=f"Tell {subject}", context=place, values=values)


def submitted(asked: Asked, context: str, values: Mapping[str, str]) -> None:
    """The edited draft is sent. Raises FormErrors at the field that is wrong, Refused for whoever may not."""
    place = json.loads(context)
    incident, subject = load(asked.tx, int(place["incident"])), str(place["subject"])
    need(asked, "respond", incident)
    if not incident.active:
        raise FormErrors({"text": f"{incident.name} is {incident.status} since; nothing was sent."})
    if not values.get("text"):
        raise FormErrors({"text": "A message needs a text."})
    try:
        wait = parse_duration(values["remind"]) if values.get("remind") else None
    except ValueError as error:
        raise FormErrors({"remind": str(error)}) from error
    if wait is not None and not timedelta(0) < wait <= REMIND_MAX:
        raise FormErrors({"remind": "A reminder comes within 7 days."})
    change(
        asked.tx, asked.house, incident, incident.id, [_event(asked, incident, subject, values["text"], wait)]
    )


def answered(asked: Asked, incident: Incident, subject: str, note: str = "") -> None:
    """Somebody heard from the contact: no reminder any more. Raises Refused where nobody wrote."""
    if subject not in incident.written:
        raise Refused(f"Nobody wrote to the {subject} contact from {incident.name} yet.", _USAGE)
    told = lifecycle.event(written.ANSWERED, asked.now, asked.name, subject=subject, note=note[:500])
    change(asked.tx, asked.house, incident, incident.id, [told])


def _contact(asked: Asked, subject: str) -> Contact:
    found = asked.house.roster.contacts.get(subject)
    if found is None:
        named = ", ".join(asked.house.roster.contacts) or "none"
        raise Refused(f"The roster names no contact for {subject}.", f"It names: {named}.")
    return found


def _how(asked: Asked, contact: Contact) -> str:
    match contact.kind:
        case "person":
            return "They get it as a direct message."
        case "group":
            return "They are called in the incident's channel."
        case "mailbox" if asked.house.roster.reach.mail:
            return "They get it as a mail."
    return "It is shown in the incident's channel, for you to copy; nothing is sent."


def _event(asked: Asked, incident: Incident, subject: str, text: str, wait: timedelta | None) -> Event:
    contact = _contact(asked, subject)
    person = asked.house.roster.people.get(contact.value) if contact.kind == "person" else None
    mailed = contact.kind == "mailbox" and asked.house.roster.reach.mail
    sent = mailed or contact.kind == "group" or (person is not None and bool(person.slack))
    return lifecycle.event(
        written.WRITTEN, asked.now, asked.name,
        subject=subject, kind=contact.kind, value=contact.value, text=redact(text)[: written.TEXT_MAX],
        sent=sent, mailed=mailed, slack=person.slack if person is not None else "",
        mentions=[_called(asked, contact)] if contact.kind == "group" else [],
        remind_at=stamp(asked.now + wait) if wait is not None else None,
        page=f"{incident.name}:e{incident.epoch}:written:{subject}:{incident.seq}", due_at=stamp(asked.now),
    )  # fmt: skip


def _called(asked: Asked, contact: Contact) -> str:
    """The group by its id, where Slack told it: a handle alone calls nobody."""
    return asked.house.roster.members.get(contact.value, Members()).id or contact.value


def _draft(asked: Asked, incident: Incident, subject: str) -> str:
    """The runbook's own draft where it has one for this contact, and what was measured."""
    facts, examples = _known(asked, incident)
    book = by_name(asked.house.runbooks, incident.runbook) if incident.runbook else None
    step = next((s for s in book.steps if s.contact == subject and s.draft), None) if book else None
    if step is None:
        return written.draft(
            subject, name=incident.name, pipeline=incident.pipeline, title=redact(incident.title),
            since=incident.opened_at, facts=facts, examples=examples,
        )  # fmt: skip
    lines = [step_words.filled(step.draft, values_of(incident)).strip()]
    lines += ["", "Measured:", *(f"- {fact}" for fact in facts)] if facts else []
    lines += ["Examples, masked:", *(f"- {example}" for example in examples)] if examples else []
    return "\n".join(lines)[: written.TEXT_MAX]


def _known(asked: Asked, incident: Incident) -> tuple[list[str], list[str]]:
    """What holds and what the last reports said; and dead letters as the last look into the queue showed them."""
    facts = [redact(fact.text) for fact in incident.holding if fact.text]
    latest: dict[str, str] = {}
    for event in asked.tx.events(incident.id):
        if event.type == "reported":
            latest[str(event.data["operation"])] = redact(str(event.data["verdict"]))
    facts += list(latest.values())[-REPORTS_SHOWN:]
    peeked = [
        run for run in asked.tx.runs_of_incident(incident.id) if run.operation == "dlq.peek" and run.report
    ]
    return facts or [redact(incident.title)], _examples(peeked[-1].report) if peeked else []


def _examples(report: Mapping[str, Any]) -> list[str]:
    rows = [row for table in report.get("tables") or () for row in table.get("rows") or ()]
    return [cut(mask_text(" | ".join(str(cell) for cell in row)), 300) for row in rows[:EXAMPLES_SHOWN]]
