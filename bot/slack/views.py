"""Modals, and what a person filled in. Pure.

Each input's block_id is the name of its field, so that the desk's refusal of a field stands at its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.core.alerts import Kind, Severity
from bot.core.asks import OpenForm
from bot.core.runbook import label_of
from bot.core.text import cut, inline
from bot.slack.blocks import Block, Unrenderable, context

FIELD = "value"
TITLE_MAX = 24
OPTION_MAX = 75
CONTEXT_MAX = 3000
TEXT_MAX = 3000
_REVIEW = (
    ("root_cause", "Root cause", "What made it happen? Leave it empty if nobody knows yet."),
    ("impact", "Impact", "Who or what was affected, and for how long?"),
    ("went_well", "What went well", ""),
    ("could_improve", "What could be improved", ""),
    ("preventive", "Preventive measures", ""),
    ("procedures", "Procedures", "Which were updated, or are to be?"),
    ("learnings", "Learnings", "With whom were they shared, and where?"),
)


def view_of(form: OpenForm) -> Block:
    """The modal for a wish of the desk. Raises Unrenderable for a form that nobody knows."""
    builders = {
        "declare": _declare,
        "review_edit": _review,
        "action_add": _action,
        "step_note": _step_note,
        "notify": _notify,
        "plan_confirm": _plan_confirm,
    }
    build = builders.get(form.name)
    if build is None:
        raise Unrenderable(f"there is no form {form.name!r}")
    if len(form.context) > CONTEXT_MAX:
        raise Unrenderable(f"the context of the form {form.name} is longer than {CONTEXT_MAX}")
    submit = {
        "declare": "Declare",
        "review_edit": "Save",
        "action_add": "Add action",
        "step_note": "Done",
        "notify": "Send",
        "plan_confirm": "Run it",
    }[form.name]
    return {
        "type": "modal",
        "callback_id": form.name,
        "private_metadata": form.context,
        "title": _plain(form.title, TITLE_MAX),
        "submit": _plain(submit),
        "close": _plain("Cancel"),
        "blocks": build(form.values),
    }


def values_of(view: Mapping[str, Any]) -> dict[str, str]:
    """{block_id: what was typed or chosen}, empty where nothing was."""
    state: Mapping[str, Any] = (view.get("state") or {}).get("values") or {}
    return {block: next((_value(e) for e in fields.values()), "") for block, fields in state.items()}


def _value(element: Mapping[str, Any]) -> str:
    option = element.get("selected_option")
    if isinstance(option, Mapping):
        return str(option.get("value") or "")
    for name in ("value", "selected_user", "selected_date", "selected_channel", "selected_conversation"):
        if element.get(name):
            return str(element[name])
    return ""


def _declare(_: Mapping[str, str]) -> list[Block]:
    severities = [(str(s), str(s).capitalize()) for s in (Severity.CRITICAL, Severity.WARNING, Severity.INFO)]
    kinds = [(str(kind), str(kind).capitalize()) for kind in Kind]
    blocks = [
        _input("title", "What is wrong?", _text("", most=200)),
        _input("severity", "Severity", _select(severities, "warning")),
        _input("kind", "Kind", _select(kinds, "other")),
    ]
    note = "Critical and warning open a channel and page the on-call person at once."
    return [*blocks, context(note)]


def _review(values: Mapping[str, str]) -> list[Block]:
    return [
        _input(name, label, _text(values.get(name, ""), lines=True), hint=hint, optional=True)
        for name, label, hint in _REVIEW
    ]


def _action(_: Mapping[str, str]) -> list[Block]:
    owner: Block = {"type": "users_select", "action_id": FIELD, "placeholder": _plain("Who does it?")}
    due: Block = {"type": "datepicker", "action_id": FIELD, "placeholder": _plain("By when?")}
    return [
        _input("text", "What is to be done?", _text("", most=500)),
        _input("owner", "Owner", owner, optional=True),
        _input("due", "Due", due, optional=True),
    ]


def _step_note(values: Mapping[str, str]) -> list[Block]:
    answers = [(answer, label_of(answer)) for answer in values.get("answers", "").split()]
    note = _input("note", "What came of it?", _text("", lines=True, most=500), optional=True)
    if not answers:
        return [note]
    choice = {
        "type": "static_select",
        "action_id": FIELD,
        "options": [_option(*answer) for answer in answers],
    }
    return [_input("answer", "What is it?", choice), note]


def _notify(values: Mapping[str, str]) -> list[Block]:
    remind = _text(values.get("remind", ""), most=10)
    return [
        context(inline(values.get("to", ""), 600)),
        _input("text", "Your message", _text(values.get("text", ""), lines=True)),
        _input(
            "remind",
            "Remind me of an answer after",
            remind,
            hint="Like 1h or 30m; empty: never.",
            optional=True,
        ),
    ]


def _plan_confirm(values: Mapping[str, str]) -> list[Block]:
    target = values.get("target", "")
    said = (f"This will run {values.get('what', '')}.", values.get("summary", ""), values.get("then", ""))
    typed = _input("target", "", _text("", most=200), hint="The name of the pipeline, as it stands above.")
    # As it is: the look-alikes that stand for marks elsewhere could not be typed.
    typed["label"]["text"] = cut(f"Type {target} to run it", 150)
    return [*(_said(text) for text in said if text), typed]


def _said(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": inline(text, 600)}}


def _input(name: str, label: str, element: Block, *, hint: str = "", optional: bool = False) -> Block:
    block: Block = {
        "type": "input",
        "block_id": name,
        "label": _plain(label),
        "element": element,
        "optional": optional,
    }
    if hint:
        block["hint"] = _plain(hint)
    return block


def _text(value: str, *, lines: bool = False, most: int = TEXT_MAX) -> Block:
    element: Block = {"type": "plain_text_input", "action_id": FIELD, "max_length": most}
    if lines:
        element["multiline"] = True
    if value:
        element["initial_value"] = cut(value, most)
    return element


def _select(options: list[tuple[str, str]], chosen: str) -> Block:
    built = [_option(value, label) for value, label in options]
    initial = next((option for option in built if option["value"] == chosen), built[0])
    return {"type": "static_select", "action_id": FIELD, "options": built, "initial_option": initial}


def _option(value: str, label: str) -> Block:
    return {"text": _plain(label, OPTION_MAX), "value": value}


def _plain(text: str, most: int = 150) -> Block:
    return {"type": "plain_text", "text": inline(text, most), "emoji": True}
