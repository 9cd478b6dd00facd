"""The rules of each block and element type of Block Kit (limits: Slack's reference, 2026)."""

from __future__ import annotations

from time import strftime, strptime
from typing import Any

from sandbox.slack.blocks import Checker, Rule
from sandbox.slack.model import Json

PLAIN = ("plain_text",)
_SELECTS = ("static", "external", "users", "conversations", "channels")
_PICKERS = ("datepicker", "datetimepicker", "timepicker")
_INPUT_ELEMENTS = frozenset(
    [f"{many}{kind}_select" for kind in _SELECTS for many in ("", "multi_")]
    + [*_PICKERS, "checkboxes", "radio_buttons", "plain_text_input", "rich_text_input", "number_input"]
    + ["email_text_input", "url_text_input", "file_input"]
)
_ACTION_ELEMENTS = frozenset(
    [f"{many}{kind}_select" for kind in _SELECTS for many in ("", "multi_")]
    + [*_PICKERS, "button", "checkboxes", "radio_buttons", "overflow", "workflow_button", "rich_text_input"]
)
_ACCESSORIES = _ACTION_ELEMENTS | {"image"}


def check_block(checker: Checker, block: Json, at: str) -> None:
    """Apply the rule of the block's type."""
    kind = block.get("type")
    rule = BLOCKS.get(kind) if isinstance(kind, str) else None
    if rule is None:
        checker.refuse(f"{at}/type", f"unsupported type: {kind}", "enum", sorted(BLOCKS))
        return
    checker.string(block, at, "block_id", 255)
    if (allowed := _BLOCK_FIELDS.get(str(kind))) is not None:
        checker.only(block, at, ("type", "block_id", *allowed.split()))
    rule(checker, block, at)


# What a block may hold besides type and block_id; the newest kinds are left open.
_BLOCK_FIELDS = {
    "section": "text fields accessory expand",
    "header": "text level",
    "divider": "",
    "context": "elements",
    "actions": "elements",
    "image": "image_url slack_file alt_text title image_width image_height image_bytes fallback is_animated",
    "input": "label element hint optional dispatch_action",
    "markdown": "text",
    "file": "external_id source file_id file",
    "rich_text": "elements",
}


def _section(checker: Checker, block: Json, at: str) -> None:
    if block.get("text") is None and not block.get("fields"):
        checker.refuse(at, "missing required field: text", "required", "text")
    checker.text(block, at, "text", 3000)
    if block.get("fields") is not None:
        for pointer, item in checker.items(block, at, "fields", 10):
            _text_item(checker, item, pointer, 2000)
    if isinstance(block.get("accessory"), dict):
        _element(checker, block["accessory"], f"{at}/accessory", _ACCESSORIES)


def _text_item(checker: Checker, item: Json, at: str, most: int) -> None:
    parent, _, name = at.rpartition("/")
    checker.text({name: item}, parent, name, most)


def _header(checker: Checker, block: Json, at: str) -> None:
    checker.text(block, at, "text", 150, kinds=PLAIN, needed=True)


def _context(checker: Checker, block: Json, at: str) -> None:
    for pointer, item in checker.items(block, at, "elements", 10):
        if item.get("type") == "image":
            _image_element(checker, item, pointer)
        else:
            _text_item(checker, item, pointer, 3000)


def _actions(checker: Checker, block: Json, at: str) -> None:
    seen: set[str] = set()
    for pointer, item in checker.items(block, at, "elements", 25):
        _element(checker, item, pointer, _ACTION_ELEMENTS)
        action_id = item.get("action_id")
        if isinstance(action_id, str) and action_id in seen:
            checker.refuse(f"{pointer}/action_id", "action_id already exists", "unique", action_id)
        seen.add(str(action_id))


def _image_block(checker: Checker, block: Json, at: str) -> None:
    _image_element(checker, block, at)
    checker.text(block, at, "title", 2000, kinds=PLAIN)


def _image_element(checker: Checker, item: Json, at: str) -> None:
    if item.get("image_url") is None and item.get("slack_file") is None:
        checker.refuse(at, "missing required field: image_url", "required", "image_url")
    checker.string(item, at, "image_url", 3000, least=1)
    checker.string(item, at, "alt_text", 2000, needed=True)


def _input(checker: Checker, block: Json, at: str) -> None:
    checker.text(block, at, "label", 2000, kinds=PLAIN, needed=True)
    checker.text(block, at, "hint", 2000, kinds=PLAIN)
    if not isinstance(block.get("element"), dict):
        checker.refuse(at, "missing required field: element", "required", "element")
        return
    _element(checker, block["element"], f"{at}/element", _INPUT_ELEMENTS)


def _markdown(checker: Checker, block: Json, at: str) -> None:
    checker.string(block, at, "text", 12_000, least=1, needed=True)


def _table(checker: Checker, block: Json, at: str) -> None:
    rows = block.get("rows")
    if not isinstance(rows, list) or not rows:
        checker.refuse(at, "missing required field: rows", "required", "rows")
        return
    if len(rows) > 100:
        checker.refuse(f"{at}/rows", "no more than 100 items allowed", "max_items", 100)
    for index, row in enumerate(rows):
        checker.array(row, f"{at}/rows/{index}", 20)


def _rich_text(checker: Checker, block: Json, at: str) -> None:
    allowed = ("rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted")
    for pointer, item in checker.items(block, at, "elements", 1000, least=0):
        if item.get("type") not in allowed:
            checker.refuse(f"{pointer}/type", f"unsupported type: {item.get('type')}", "enum", list(allowed))
        elif not isinstance(item.get("elements"), list):
            checker.refuse(pointer, "missing required field: elements", "required", "elements")


def _video(checker: Checker, block: Json, at: str) -> None:
    for name, most in (("alt_text", 200), ("thumbnail_url", 3000), ("video_url", 3000)):
        checker.string(block, at, name, most, least=1, needed=True)
    checker.text(block, at, "title", 200, kinds=PLAIN, needed=True)
    checker.text(block, at, "description", 200, kinds=PLAIN)


def _alert(checker: Checker, block: Json, at: str) -> None:
    checker.text(block, at, "text", 200, needed=True)


def _anything(checker: Checker, block: Json, at: str) -> None:
    """Kinds without rules here: dividers, and the newest kinds, whose limits are not settled yet."""


BLOCKS: dict[str, Rule] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "image": _image_block,
    "input": _input,
    "markdown": _markdown,
    "table": _table,
    "rich_text": _rich_text,
    "video": _video,
    "alert": _alert,
    **dict.fromkeys(
        ("divider", "file", "call", "card", "carousel", "container", "context_actions", "data_table"),
        _anything,
    ),
    **dict.fromkeys(("data_visualization", "plan", "task_card"), _anything),
}


def _element(checker: Checker, item: Json, at: str, allowed: frozenset[str]) -> None:
    kind = item.get("type")
    if kind not in allowed:
        checker.refuse(f"{at}/type", f"unsupported type: {kind}", "enum", sorted(allowed))
        return
    if kind == "image":
        _image_element(checker, item, at)
        return
    checker.string(item, at, "action_id", 255)
    checker.text(item, at, "placeholder", 150, kinds=PLAIN)
    if item.get("confirm") is not None:
        _confirm(checker, item["confirm"], f"{at}/confirm")
    if (rule := _ELEMENTS.get(str(kind))) is not None:
        rule(checker, item, at)


def _button(checker: Checker, item: Json, at: str) -> None:
    checker.text(item, at, "text", 75, kinds=PLAIN, needed=True)
    checker.string(item, at, "value", 2000)
    checker.string(item, at, "url", 3000)
    checker.string(item, at, "accessibility_label", 75)
    checker.choice(item, at, "style", ("primary", "danger"))
    fields = "type text action_id value url style confirm accessibility_label workflow"
    checker.only(item, at, fields.split())


def _confirm(checker: Checker, value: Any, at: str) -> None:
    if not isinstance(value, dict):
        checker.refuse(at, "must be an object", "type", "object")
        return
    checker.text(value, at, "title", 100, kinds=PLAIN, needed=True)
    checker.text(value, at, "text", 300, needed=True)
    checker.text(value, at, "confirm", 30, kinds=PLAIN, needed=True)
    checker.text(value, at, "deny", 30, kinds=PLAIN, needed=True)
    checker.choice(value, at, "style", ("primary", "danger"))


def _option(checker: Checker, item: Json, at: str) -> None:
    checker.text(item, at, "text", 75, needed=True)
    checker.string(item, at, "value", 150)
    checker.text(item, at, "description", 75)
    checker.string(item, at, "url", 3000)


def _options(most: int) -> Rule:
    def rule(checker: Checker, item: Json, at: str) -> None:
        for pointer, option in checker.items(item, at, "options", most):
            _option(checker, option, pointer)
        _begins(checker, item, at, item.get("options"))

    return rule


def _static_select(checker: Checker, item: Json, at: str) -> None:
    if item.get("option_groups") is None:
        _options(100)(checker, item, at)
        return
    known: list[Any] = []
    for pointer, group in checker.items(item, at, "option_groups", 100):
        checker.text(group, pointer, "label", 75, kinds=PLAIN, needed=True)
        for place, option in checker.items(group, pointer, "options", 100):
            _option(checker, option, place)
            known.append(option)
    _begins(checker, item, at, known)


def _begins(checker: Checker, item: Json, at: str, options: Any) -> None:
    """What is chosen at first is one of the options, member for member."""
    known = options if isinstance(options, list) else []
    first = item.get("initial_option")
    if first is not None and first not in known:
        checker.refuse(f"{at}/initial_option", "must be one of the options", "enum")
    several = item.get("initial_options")
    if several is not None and not (
        isinstance(several, list) and several and all(o in known for o in several)
    ):
        checker.refuse(f"{at}/initial_options", "must be some of the options", "enum")


def _datepicker(checker: Checker, item: Json, at: str) -> None:
    _instant(checker, item, at, "initial_date", "%Y-%m-%d")


def _timepicker(checker: Checker, item: Json, at: str) -> None:
    _instant(checker, item, at, "initial_time", "%H:%M")


def _instant(checker: Checker, item: Json, at: str, name: str, form: str) -> None:
    value = item.get(name)
    if value is None:
        return
    try:
        good = isinstance(value, str) and strftime(form, strptime(value, form)) == value
    except ValueError:
        good = False
    if not good:
        checker.refuse(f"{at}/{name}", f"must be of the form {form}", "format", form)


def _plain_text_input(checker: Checker, item: Json, at: str) -> None:
    for name in ("min_length", "max_length"):
        value = item.get(name)
        if value is not None and not (isinstance(value, int) and 0 <= value <= 3000):
            checker.refuse(f"{at}/{name}", "must be between 0 and 3000", "range", [0, 3000])
    longest = item.get("max_length")
    checker.string(item, at, "initial_value", longest if isinstance(longest, int) else 3000)


_ELEMENTS: dict[str, Rule] = {
    "button": _button,
    "overflow": _options(5),
    "checkboxes": _options(10),
    "radio_buttons": _options(10),
    "datepicker": _datepicker,
    "timepicker": _timepicker,
    "static_select": _static_select,
    "multi_static_select": _static_select,
    "plain_text_input": _plain_text_input,
}
