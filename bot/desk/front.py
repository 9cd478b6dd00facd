"""The front desk: commands, clicks, forms and pins of people, each one transaction (asks.Desk).

Whatever a person did wrong is answered, privately, with what they can do; nothing is changed then.
The same request twice (Slack retries, double clicks) is done once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bot.core import lifecycle
from bot.core import roster as rosters
from bot.core.alert_model import Kind, Severity
from bot.core.asks import Asker, Click, Command, Form, FormErrors, GroupChanged, OpenForm, Pin
from bot.core.book import Barred
from bot.core.delivery import Outbound
from bot.core.refusal import Refused
from bot.core.text import cut
from bot.desk import (
    confirming,
    gates,
    private_reviews,
    rounds,
    steps,
    test_pages,
    words_contacts,
    words_incident,
    words_other,
    words_pipeline,
    words_runbook,
)
from bot.desk.again import written
from bot.desk.answers import private
from bot.desk.asked import Asked, need, split
from bot.desk.change import change, load
from bot.desk.house import House
from bot.desk.live import live
from bot.desk.ports import Store, Tx
from pipeline.operations import Operation, complete_word

Answers = list[Outbound] | OpenForm
# What people say who do not remember the word.
_MEANT = {
    "acknowledge": "ack", "take": "ack", "close": "resolve", "fixed": "resolve", "end": "resolve", "open": "declare",
    "create": "declare", "new": "declare", "page": "escalate", "mute": "snooze", "silence": "snooze",
    "history": "timeline", "log": "timeline", "next": "done",
}  # fmt: skip
REVIEW_FIELDS = (
    "root_cause",
    "impact",
    "went_well",
    "could_improve",
    "preventive",
    "procedures",
    "learnings",
)


class FrontDesk:
    """Implements asks.Desk over the store."""

    def __init__(
        self,
        *,
        store: Store,
        house: Callable[[], House],
        registry: Mapping[str, Operation],
        wake: Callable[[], None],
        before_a_click: Callable[[], Awaitable[None]] | None = None,
        group_changed: Callable[[GroupChanged], Awaitable[None]] | None = None,
    ) -> None:
        self._before_a_click = before_a_click
        self._group_changed = group_changed
        self._store = store
        self._house = house
        self._registry = registry
        self._wake = wake

    async def command(self, asked: Command) -> OpenForm | None:
        words = split(asked.text)
        # No more of it: what else was typed may be what a private incident is about.
        what = " ".join((asked.name, *words[:1]))
        return await self._answer(asked.asker, words, lambda a: self._command(a, asked.name), what)

    async def click(self, asked: Click) -> OpenForm | None:
        what = f"the button {asked.action.replace('_', ' ')}"
        if self._before_a_click is not None and asked.action in ("plan_confirm", "plan_approve"):
            await self._before_a_click()
        return await self._answer(asked.asker, (), lambda a: self._click(a, asked), what)

    async def submit(self, asked: Form) -> None:
        what = f"the form {asked.name.replace('_', ' ')}"
        await self._answer(asked.asker, (), lambda a: self._submit(a, asked), what, forms=True)

    async def pin(self, asked: Pin) -> None:
        await self._answer(asked.asker, (), lambda a: self._pin(a, asked), "a pin", quiet=True)

    async def group_changed(self, event: GroupChanged) -> None:
        if self._group_changed is not None:
            await self._group_changed(event)

    async def incident_of(self, channel: str) -> int | None:
        return await self._store.aread(lambda tx: tx.incident_of_channel(channel))

    async def _answer(
        self,
        asker: Asker,
        words: tuple[str, ...],
        work: Callable[[Asked], Answers],
        what: str,
        *,
        forms: bool = False,
        quiet: bool = False,
    ) -> OpenForm | None:
        house = self._house()

        def once(tx: Tx) -> Answers:
            if asker.request_id and not tx.once("request", asker.request_id):
                return []
            asked = Asked(tx=tx, house=live(tx, house), asker=asker, words=words, key=asker.request_id)
            answers = work(asked)
            if not isinstance(answers, OpenForm):
                tx.enqueue(answers)
            return answers

        try:
            answers = await written(self._store, once)
        except Refused as refused:
            if isinstance(refused, Barred):
                await self._write_down(house, asker, refused, what)
            if forms:
                raise FormErrors({"": str(refused)}) from refused
            answers = [] if quiet else [private(asker, f"{asker.request_id}:no", str(refused))]
            rows = answers
            await self._store.awrite(lambda tx: tx.enqueue(rows))
        self._wake()
        return answers if isinstance(answers, OpenForm) else None

    async def _write_down(self, house: House, asker: Asker, barred: Barred, what: str) -> None:
        def note(tx: Tx) -> None:
            asked = Asked(tx=tx, house=live(tx, house), asker=asker, words=(), key=asker.request_id)
            gates.write_refusal(tx, asked.house, barred, asked.name, what)

        await self._store.awrite(note)

    # --- commands -----------------------------------------------------------------------------------------

    def _command(self, asked: Asked, name: str) -> Answers:
        if name in words_pipeline.FAMILIES:
            return words_pipeline.command(asked, name, self._registry)
        table: Mapping[str, Callable[[Asked], Answers]]
        table = words_incident.WORDS if name == "/incident" else words_other.WORDS[name]
        word = asked.words[0].lower() if asked.words else _default(name)
        if word in ("help", "--help", "-h"):
            shown = words_other.usable(asked, name).values()
            lines = [f"{name} {(handler.__doc__ or '').splitlines()[0]}" for handler in shown]
            return [private(asked.asker, asked.key, f"{name} can do this", form="list", lines=lines)]
        if name == "/incident" and word == "declare" and len(asked.words) == 1:
            return OpenForm(name="declare", title="Declare an incident", context=asked.asker.channel)
        if word not in table:
            guess = complete_word(_MEANT.get(word, word), table)
            hint = f"Did you mean `{name} {guess}`?" if guess else f"There are: {', '.join(table)}."
            raise Refused(f"I don't know `{name} {cut(word, 40)}`.", f"{hint} `{name} help` explains them.")
        return table[word](replace(asked, words=asked.words[1:]))

    # --- clicks -------------------------------------------------------------------------------------------

    def _click(self, asked: Asked, click: Click) -> Answers:
        person = asked.person.name if asked.person else None
        reply = {"response_url": click.asker.response_url, "clicked": True, "nth": click.asker.request_id}
        match click.action:
            case "page_ack":
                incident = load(asked.tx, _number(click.value.split(":")[0]))
                name = need(asked, "acknowledge", incident)
                events = lifecycle.acknowledge(incident, name, asked.now, page=click.value)
                change(asked.tx, asked.house, incident, incident.id, events)
                return []
            case "incident_ack":
                return words_incident.ack(self._on(asked, click.value))
            case "incident_resolve":
                number, _, word = click.value.partition(":")
                return words_incident.resolve(self._on(asked, number), confirmed=word == "confirmed")
            case "plan_confirm":
                told = confirming.confirm(asked.tx, asked.house, click.value, person, reply)
                return told if isinstance(told, OpenForm) else _told(asked, told)
            case "plan_cancel":
                confirming.cancel(asked.tx, asked.house, click.value, person, reply)
                return []
            case "plan_approve":
                return _told(asked, confirming.approve(asked.tx, asked.house, click.value, person, reply))
            case "step_run":
                return self._step_run(asked, click)
            case "step_done":
                return words_runbook.done_by_button(asked, click.value)
            case "step_note":
                return words_runbook.note_form(asked, click.value)
            case "runbook_take":
                return words_runbook.take(asked, click.value)
            case "runbook_reviewed":
                incident = load(asked.tx, _number(click.value))
                name = need(asked, "respond", incident)
                private_reviews.done(asked.tx, asked.house, incident, name)
                return []
            case "round_tick":
                return list(rounds.tick(asked, click.value))
            case "round_note":
                return rounds.note_form(asked, click.value)
            case "channel_open":
                incident = load(asked.tx, _number(click.value))
                need(asked, "tell", incident)
                if not incident.wants_channel:
                    wanted_event = lifecycle.event("channel_wanted", asked.now, asked.name, **asked.who)
                    change(asked.tx, asked.house, incident, incident.id, [wanted_event])
                return [private(asked.asker, asked.key, f"The channel of {incident.name} opens now.")]
            case "oncall_test_ack":
                return test_pages.acknowledge(asked, click.value)
            case "action_add":
                return words_other.action_form(asked, load(asked.tx, _number(click.value)))
            case "action_done" | "action_undone":
                number, _, item = click.value.partition(":")
                incident = load(asked.tx, _number(number))
                need(asked, "respond", incident)
                words_other.tick(asked, incident, item, done=click.action == "action_done")
                return words_other.review_actions(self._on(asked, number))
            case "contact_draft" | "contact_answered":
                return self._contact(asked, click)
            case "review_edit":
                return words_other.review_edit(self._on(asked, click.value))
        raise Refused(
            f"This button ({click.action}) is not known.", "It may be of an older version; use the command."
        )

    def _contact(self, asked: Asked, click: Click) -> Answers:
        """The buttons of a message to a contact: write again, or note that they answered."""
        number, _, subject = click.value.partition(":")
        incident = load(asked.tx, _number(number))
        need(asked, "respond", incident)
        if click.action == "contact_draft":
            return words_contacts.form(asked, incident, subject)
        words_contacts.answered(asked, incident, subject)
        return []

    def _on(self, asked: Asked, value: str) -> Asked:
        return replace(asked, words=(f"INC-{_number(value)}",))

    def _step_run(self, asked: Asked, click: Click) -> Answers:
        """A button of a report or a runbook: the same as the command, typed in that channel."""
        wanted = json.loads(click.value)
        operation = self._registry.get(str(wanted["operation"]))
        if operation is None:
            raise Refused(f"The operation {wanted['operation']} is not known.")
        incident = load(asked.tx, int(wanted["incident"])) if wanted.get("incident") else None
        params = {**dict(wanted.get("params") or {})}
        step, walk = str(wanted.get("step") or ""), str(wanted.get("walk") or "")
        if incident is not None:
            params.setdefault("pipeline", incident.pipeline)
        elif walk and (begun := asked.tx.run(walk)) is not None and begun.pipeline:
            params.setdefault("pipeline", begun.pipeline)
        if step:
            steps.must_stand(asked.tx, wanted, step)
        return words_pipeline.start(asked, operation, params, step, walk)

    # --- forms and pins -----------------------------------------------------------------------------------

    def _submit(self, asked: Asked, form: Form) -> Answers:
        values = {k: v.strip() for k, v in form.values.items()}
        match form.name:
            case "declare":
                if not values.get("title"):
                    raise FormErrors({"title": "An incident needs a title."})
                severity = Severity(values.get("severity") or "warning")
                kind = Kind(values.get("kind") or "health")
                try:
                    incident = words_incident.declared(asked, severity, kind, values["title"])
                except Refused as refused:
                    raise FormErrors({"title": str(refused)}) from refused
                asker = replace(asked.asker, channel=form.context)
                return [private(asker, asked.key, words_incident.declared_words(incident))]
            case "review_edit":
                incident = load(asked.tx, _number(form.context))
                need(asked, "respond", incident)
                words_other.not_reviewed(incident)
                events = [
                    lifecycle.event("review_stated", asked.now, asked.name, field=field, text=text[:3000])
                    for field, text in values.items()
                    if field in REVIEW_FIELDS and text != incident.stated.get(field, "")
                ]
                if events:
                    change(asked.tx, asked.house, incident, incident.id, events)
                return []
            case "action_add":
                return self._action(asked, form, values)
            case confirming.FORM:
                name = asked.person.name if asked.person else None
                typed = values.get(confirming.TARGET, "")
                said, reply = confirming.submitted(asked.tx, asked.house, form.context, name, typed)
                asker = replace(asked.asker, response_url=str(reply.get("response_url") or ""))
                return _told(replace(asked, asker=asker), said)
            case "step_note" if rounds.is_round(form.context):
                rounds.tick(asked, form.context, answer=values.get("answer", ""), note=values.get("note", ""))
                return []
            case words_contacts.FORM:
                words_contacts.submitted(asked, form.context, values)
                return []
            case "step_note":
                return words_runbook.done_by_form(asked, form.context, values)
        raise Refused(f"This form ({form.name}) is not known.")

    def _action(self, asked: Asked, form: Form, values: Mapping[str, str]) -> Answers:
        if not values.get("text"):
            raise FormErrors({"text": "An action needs a text."})
        incident = load(asked.tx, _number(form.context))
        need(asked, "respond", incident)
        words_other.not_reviewed(incident)
        person = (
            rosters.by_slack(asked.house.roster, values.get("owner", "")) if values.get("owner") else None
        )
        owner = person.name if person else values.get("owner", "")
        words_other.add_action(asked, incident, values["text"], owner, values.get("due", ""))
        return []

    def _pin(self, asked: Asked, pin: Pin) -> Answers:
        number = asked.tx.incident_of_channel(asked.asker.channel)
        if number is None:
            return []
        incident = load(asked.tx, number)
        if not asked.tx.once("pinned", f"{asked.asker.channel}:{pin.ts}"):
            return []
        author = rosters.by_slack(asked.house.roster, pin.author)
        data = {
            "ts": pin.ts,
            "author": author.name if author else pin.author,
            "text": pin.text[:2000],
            "permalink": pin.permalink,
            **asked.who,
        }
        change(
            asked.tx,
            asked.house,
            incident,
            number,
            [lifecycle.event("pinned", asked.now, asked.name, **data)],
        )
        return []


def _told(asked: Asked, text: str) -> Answers:
    return [private(asked.asker, asked.key, text)] if text else []


def _default(name: str) -> str:
    return {"/oncall": "now", "/review": "show", "/runbook": "list"}.get(name, "help")


def _number(value: str) -> int:
    digits = value.upper().removeprefix("INC-").split(":")[0]
    if not re.fullmatch(r"[0-9]{1,9}", digits):
        raise Refused("This button names no incident.")
    return int(digits)
