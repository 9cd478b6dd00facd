"""``/review``, and the table of all commands besides those of incidents and pipelines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from bot.core import lifecycle, review, statistics_words
from bot.core import roster as rosters
from bot.core.access import Action
from bot.core.asks import OpenForm
from bot.core.delivery import Outbound
from bot.core.incident import Incident, Status
from bot.core.refusal import Refused
from bot.core.text import counted, cut, listed
from bot.desk import round_notes, words_incident, words_oncall, words_runbook
from bot.desk.answers import private
from bot.desk.asked import Asked, may, need, sees, which
from bot.desk.change import change
from bot.desk.reviews import file_row

Answers = list[Outbound] | OpenForm


# --- /review ----------------------------------------------------------------------------------------------


def review_show(asked: Asked) -> Answers:
    """show [ID]: where the review is and what it lacks"""
    incident, _ = which(asked)
    need(asked, "read", incident)
    if incident.active:
        raise Refused(f"{incident.name} is not resolved yet.", "Its timeline is there: `/incident timeline`.")
    rows: list[Outbound] = []
    after = incident
    if incident.channel_id:
        events = asked.tx.events(incident.id)
        rows.append(file_row(incident, events))
        if not incident.review_drafted:
            drafted = lifecycle.event(
                "review_drafted", asked.now, asked.name, filename=review.filename(incident)
            )
            after = change(asked.tx, asked.house, incident, incident.id, [drafted])
    missing = review.may_close(after)
    lines = [f"still missing: {what}" for what in missing] or ["nothing is missing: `/review done` closes it"]
    lines += _action_lines(after)
    # A private incident has no page.
    page = [] if incident.private else [f"{asked.house.base_url}/incidents/{incident.name}/review"]
    where = [*(["its channel"] if incident.channel_id else []), *page] or [f"`bot review {incident.name}`"]
    head = f"The review of {incident.name} is here: {listed(where)}"
    return [*rows, private(asked.asker, asked.key, head, form="list", lines=lines)]


def review_edit(asked: Asked) -> Answers:
    """edit [ID]: state cause, impact and lessons"""
    incident, _ = which(asked)
    need(asked, "respond", incident)
    not_reviewed(incident)
    return OpenForm(
        name="review_edit",
        title=f"Review of {incident.name}",
        context=str(incident.id),
        values=dict(incident.stated),
    )


def not_reviewed(incident: Incident) -> None:
    """A review that was closed stays as it is. Raises Refused."""
    if incident.status is Status.REVIEWED:
        raise Refused(f"The review of {incident.name} is closed.")


def review_done(asked: Asked) -> Answers:
    """done [ID]: close the review (L2 or above)"""
    incident, _ = which(asked)
    name = need(asked, "review_done", incident)
    if incident.status is not Status.RESOLVED:
        raise Refused(
            f"{incident.name} is {incident.status}; only a resolved incident's review can be closed."
        )
    missing = review.may_close(incident)
    if missing:
        raise Refused(
            f"The review lacks: {'; '.join(missing)}.", "`/review edit`, `/review actions add TEXT`."
        )
    after = change(
        asked.tx, asked.house, incident, incident.id, [lifecycle.event("reviewed", asked.now, name)]
    )
    return [private(asked.asker, asked.key, f"{after.name} is reviewed.")]


def review_actions(asked: Asked) -> Answers:
    """actions [ID] [add TEXT [@OWNER] [2026-12-31] | done N | undone N]: list, add, tick off; alone: all incidents"""
    if not asked.words and asked.tx.incident_of_channel(asked.asker.channel) is None:
        return _all_actions(asked)
    incident, rest = which(asked)
    if not rest:
        add = {
            "action": "action_add",
            "label": f"Add an action to {incident.name}",
            "value": str(incident.id),
        }
        theirs = may(asked, "respond")
        buttons = [add] if theirs and incident.status is not Status.REVIEWED else []
        for item in incident.actions[: 10 if theirs else 0]:
            verb, label = ("action_undone", "Open again") if item.done_by else ("action_done", "Tick off")
            buttons.append(
                {"action": verb, "label": f"{label}: action {item.id}", "value": f"{incident.id}:{item.id}"}
            )
        lines = _action_lines(incident) or ["none yet"]
        return [
            private(
                asked.asker,
                asked.key,
                f"Action items of {incident.name}",
                form="list",
                lines=lines,
                buttons=buttons,
            )
        ]
    need(asked, "respond", incident)
    word, words = rest[0].lower(), rest[1:]
    if word == "add":
        # Only what is new: actions are done, and ticked off, long after the review was closed.
        if not words:
            return action_form(asked, incident)
        not_reviewed(incident)
        text, owner, due = _owned(asked, words)
        add_action(asked, incident, text, owner, due)
        missing = [] if owner else ["`@OWNER`"]
        missing += [] if due else ["a date like `2026-12-31`"]
        lacks = f" It lacks {listed(missing)} at its end." if missing else ""
        return [private(asked.asker, asked.key, f"The action is added.{lacks}")]
    if word in ("done", "undone") and words:
        tick(asked, incident, words[0], done=word == "done")
        return [
            private(
                asked.asker, asked.key, f"Action {words[0]} is {'done' if word == 'done' else 'open again'}."
            )
        ]
    raise Refused(
        f"I don't know `/review actions {cut(word, 40)}`.", "There are: add TEXT, done N, undone N."
    )


def action_form(asked: Asked, incident: Incident) -> OpenForm:
    """The form for a new action item. Raises Refused once the review is closed."""
    need(asked, "respond", incident)
    not_reviewed(incident)
    return OpenForm(name="action_add", title="Add an action", context=str(incident.id))


def _all_actions(asked: Asked) -> Answers:
    """Open actions of every incident that the asker may see."""
    seen = [
        todo
        for todo in round_notes.open_actions(asked.tx, asked.house)
        if not todo.private or _sees(asked, todo.incident)
    ]
    late = sum(todo.due for todo in seen)
    head = f"{counted(len(seen), 'open action item')} of all incidents, {late} of them due"
    lines = [todo.words for todo in seen] or ["none"]
    return [private(asked.asker, asked.key, head, form="list", lines=lines)]


def _sees(asked: Asked, incident: str) -> bool:
    found = asked.tx.incident(int(incident.removeprefix("INC-")), lock=False)
    return found is not None and sees(asked, found)


def review_patterns(asked: Asked) -> Answers:
    """patterns [DAYS]: MTTA, MTTR, causes that came again, noisy policies, idle rules, steps; of 30 days"""
    need(asked, "read")
    word = asked.words[0].removesuffix("d") if asked.words else "30"
    if not re.fullmatch(r"[0-9]{1,3}", word) or not 1 <= int(word) <= 400:
        raise Refused("Of how many days?", "From 1 to 400: `/review patterns 90`.")
    lines = statistics_words.lines(round_notes.patterns(asked.tx, asked.house, int(word)))
    return [private(asked.asker, asked.key, "Patterns of the incidents", form="list", lines=lines)]


def _action_lines(incident: Incident) -> list[str]:
    return [
        f"{'done' if a.done_by else 'open'}: action {a.id}, {a.text} "
        f"(owner {a.owner or 'nobody yet'}, due {a.due or 'not set'})"
        for a in incident.actions
    ]


def _owned(asked: Asked, words: Sequence[str]) -> tuple[str, str, str]:
    """(text, owner, due): a mention and a date at the end of an action's text say who and until when."""
    left, owner, due = list(words), "", ""
    while len(left) > 1:
        person = rosters.by_slack(asked.house.roster, left[-1]) if left[-1].startswith(("@", "<@")) else None
        if person is not None and not owner:
            owner = person.name
        elif not due and _is_day(left[-1]):
            due = left[-1]
        else:
            break
        left.pop()
    return " ".join(left), owner, due


def _is_day(word: str) -> bool:
    try:
        return date.fromisoformat(word).isoformat() == word
    except ValueError:
        return False


def add_action(asked: Asked, incident: Incident, text: str, owner: str, due: str) -> Incident:
    """Add an action item; its number is the next one."""
    data = {"id": len(incident.actions) + 1, "text": text[:500], "owner": owner, "due": due}
    item = lifecycle.event("action_added", asked.now, asked.name, **data)
    return change(asked.tx, asked.house, incident, incident.id, [item])


def tick(asked: Asked, incident: Incident, number: str, *, done: bool) -> Incident:
    """Tick an action item off, or open it again. Raises Refused."""
    ids = {str(a.id): a for a in incident.actions}
    if number not in ids:
        raise Refused(f"{incident.name} has no action {number}.", f"It has: {', '.join(ids) or 'none'}.")
    if bool(ids[number].done_by) == done:
        return incident
    kind = "action_done" if done else "action_undone"
    item = lifecycle.event(kind, asked.now, asked.name, id=int(number))
    return change(asked.tx, asked.house, incident, incident.id, [item])


WORDS: Mapping[str, Mapping[str, Callable[[Asked], Answers]]] = {
    "/runbook": words_runbook.WORDS,
    "/oncall": words_oncall.WORDS,
    "/review": {
        "show": review_show,
        "edit": review_edit,
        "done": review_done,
        "actions": review_actions,
        "patterns": review_patterns,
    },
}

# What each word asks of whoever uses it; those that are absent only read.
NEEDS: Mapping[str, Mapping[str, Action]] = {
    "/runbook": words_runbook.NEEDS,
    "/review": {"edit": "respond", "done": "review_done"},
}


def usable(asked: Asked, name: str) -> dict[str, Callable[[Asked], Answers]]:
    """The words of a command that the asker may use, for its help; each use is judged again."""
    if name == "/incident":
        table: Mapping[str, Callable[[Asked], Answers]] = words_incident.WORDS
        needs: Mapping[str, Action] = words_incident.NEEDS
    else:
        table, needs = WORDS[name], NEEDS.get(name, {})
    if name == "/oncall":
        hidden = () if words_oncall.may_change(asked) else words_oncall.CHANGING
        return {word: does for word, does in table.items() if word not in hidden}
    rights = {action: may(asked, action) for action in {*needs.values(), "read"}}
    return {word: does for word, does in table.items() if rights[needs.get(word, "read")]}
