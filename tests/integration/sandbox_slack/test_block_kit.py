"""Block Kit validation: what Slack takes is taken, what it refuses is refused in its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox.slack.block_rules import _ACTION_ELEMENTS, _INPUT_ELEMENTS
from sandbox.slack.blocks import check_blocks, check_message, check_view

from .conftest import SAMPLES, Sim, needs_shared

FIXTURES = SAMPLES / "blockkit" / "spec" / "fixtures" / "valid"


def _files(folder: str) -> list[Path]:
    return sorted((FIXTURES / folder).glob("*.json"))


def _load(path: Path) -> Any:
    return json.loads(path.read_text())


@needs_shared
@pytest.mark.parametrize("path", _files("blocks"), ids=lambda path: path.stem)
def test_every_valid_block_is_taken(path: Path) -> None:
    assert check_blocks([_load(path)]) == []


@needs_shared
@pytest.mark.parametrize("path", _files("rich_text"), ids=lambda path: path.stem)
def test_every_valid_rich_text_is_taken(path: Path) -> None:
    value = _load(path)
    if value["type"] != "rich_text":
        inner = (
            value
            if value["type"].startswith("rich_text_")
            else {"type": "rich_text_section", "elements": [value]}
        )
        value = {"type": "rich_text", "elements": [inner]}
    assert check_blocks([value]) == []


@needs_shared
@pytest.mark.parametrize("path", [*_files("messages"), *_files("attachments")], ids=lambda path: path.stem)
def test_every_valid_message_is_taken(path: Path) -> None:
    value = _load(path)
    assert (
        check_message(value if "attachments" in value or "text" in value else {"attachments": [value]}) == []
    )


@needs_shared
@pytest.mark.parametrize("path", _files("views"), ids=lambda path: path.stem)
def test_every_valid_view_is_taken(path: Path) -> None:
    value = _load(path)
    if value["type"] == "modal":
        value.setdefault("title", {"type": "plain_text", "text": "t"})
    assert check_view(value) == []


@needs_shared
@pytest.mark.parametrize("path", _files("elements"), ids=lambda path: path.stem)
def test_every_valid_element_is_taken_where_it_belongs(path: Path) -> None:
    element = _load(path)
    label = {"type": "plain_text", "text": "l"}
    if element["type"] in _ACTION_ELEMENTS:
        block: dict[str, Any] = {"type": "actions", "elements": [element]}
    elif element["type"] in _INPUT_ELEMENTS:
        block = {"type": "input", "label": label, "element": element}
    elif element["type"] == "image":
        block = {"type": "context", "elements": [element]}
    else:
        block = {"type": "task_card", "task_id": "1", "title": "t", "sources": [element]}
    assert check_blocks([block]) == []


def section(length: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * length}}


def button(**extra: Any) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "a", **extra}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def plain(length: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": "x" * length}


CONFIRM = {"title": plain(100), "text": plain(300), "confirm": plain(30), "deny": plain(30)}
REFUSED: list[tuple[str, list[Any], str]] = [
    ("section", [section(3001)], "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
    ("count", [{"type": "divider"}] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
    ("header", [{"type": "header", "text": plain(151)}], "must be less than 151 characters"),
    (
        "header kind",
        [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
        "unsupported type: mrkdwn",
    ),
    ("unknown", [{"type": "banner"}], "unsupported type: banner [json-pointer:/blocks/0/type]"),
    ("property", [{"type": "divider", "colour": "red"}], "invalid additional property: colour"),
    ("empty text", [section(0)], "must be more than 0 characters"),
    ("button", [actions(button(text=plain(76)))], "must be less than 76 characters"),
    ("value", [actions(button(value="x" * 2001))], "must be less than 2001 characters"),
    ("style", [actions(button(style="green"))], "value must be one of the allowed values"),
    (
        "confirm",
        [actions(button(confirm=CONFIRM | {"title": plain(101)}))],
        "must be less than 101 characters",
    ),
    ("twice", [actions(button(), button())], "action_id already exists"),
    ("elements", [actions(*[button(action_id=str(i)) for i in range(26)])], "no more than 25 items allowed"),
    ("context", [{"type": "context", "elements": [plain(1)] * 11}], "no more than 10 items allowed"),
    ("fields", [{"type": "section", "fields": [plain(2001)]}], "must be less than 2001 characters"),
    ("no object", ["text"], "must be an object [json-pointer:/blocks/0]"),
]


@pytest.mark.parametrize(
    ("blocks", "line"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_slack_refuses_is_refused_with_a_pointer(blocks: list[Any], line: str) -> None:
    lines = [problem.line() for problem in check_blocks(blocks)]
    assert any(line in found for found in lines), lines


def test_limits_count_code_points() -> None:
    assert (
        check_blocks([{"type": "header", "text": {"type": "plain_text", "text": "\U0001f600" * 150}}]) == []
    )


def test_post_with_bad_blocks_fails_in_the_shape_recorded_from_slack(sim: Sim, client: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel="C02INCIDENTS", text="x", blocks=[section(3001)])
    line = "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    assert caught.value.response["error"] == "invalid_blocks"
    assert caught.value.response["errors"] == [line]
    messages = caught.value.response["response_metadata"]["messages"]
    assert messages == [
        "[ERROR] failed to match all allowed schemas [json-pointer:/blocks/0/text]",
        f"[ERROR] {line}",
    ]
    assert sim.channel("incidents")["messages"] == []


def test_blocks_validate_answers_with_constraints(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        client.api_call(
            "blocks.validate", json={"blocks": [{"type": "section", "text": {"type": "invalid"}}]}
        )
    assert caught.value.response["errors"] == [
        {
            "code": "failed_constraint",
            "message": "unsupported type: invalid",
            "pointer": "/0/text/type",
            "constraint": {"type": "enum", "expected": ["plain_text", "mrkdwn"]},
        }
    ]
    assert client.api_call("blocks.validate", json={"blocks": [{"type": "divider"}]})["ok"]


def test_modal_needs_a_submit_button_for_its_inputs() -> None:
    element = {"type": "plain_text_input", "action_id": "a"}
    view = {
        "type": "modal",
        "title": plain(24),
        "blocks": [{"type": "input", "label": plain(1), "element": element}],
    }
    assert [problem.line() for problem in check_view(view)] == [
        "missing required field: submit [json-pointer:/view]"
    ]
    assert check_view(view | {"submit": plain(24)}) == []
    assert check_view(view | {"submit": plain(25)})


def test_block_ids_are_unique_in_a_view() -> None:
    view = {"type": "modal", "title": plain(1), "blocks": [{"type": "divider", "block_id": "b"}] * 2}
    lines = [problem.line() for problem in check_view(view)]
    assert lines == ["block_id already exists [json-pointer:/view/blocks/1/block_id]"]


@pytest.mark.parametrize(
    ("element", "pointer"),
    [
        ({"type": "static_select", "initial_option": {"text": plain(3), "value": "b"}}, "initial_option"),
        ({"type": "static_select", "initial_option": {"text": plain(2), "value": "a"}}, "initial_option"),
        ({"type": "radio_buttons", "initial_option": "a"}, "initial_option"),
        ({"type": "multi_static_select", "initial_options": [{"text": plain(9), "value": "z"}]}, "initial_options"),
        ({"type": "checkboxes", "initial_options": {}}, "initial_options"),
        ({"type": "datepicker", "initial_date": "1 March"}, "initial_date"),
        ({"type": "datepicker", "initial_date": "2026-02-30"}, "initial_date"),
        ({"type": "timepicker", "initial_time": "24:00"}, "initial_time"),
        ({"type": "plain_text_input", "initial_value": "abcd", "max_length": 3}, "initial_value"),
    ],
)  # fmt: skip
def test_what_a_field_begins_with_is_one_of_its_own(element: dict[str, Any], pointer: str) -> None:
    def wrong(element: dict[str, Any]) -> list[str]:
        view = {"type": "modal", "title": plain(1), "submit": plain(1), "blocks": [
            {"type": "input", "label": plain(1), "element": element}]}  # fmt: skip
        return [problem.pointer for problem in check_view(view)]

    choice = {"text": plain(3), "value": "a"}
    many = (
        {} if element["type"] in ("datepicker", "timepicker", "plain_text_input") else {"options": [choice]}
    )
    assert wrong({**many, **element}) == [f"/view/blocks/0/element/{pointer}"]
    good: dict[str, Any] = {
        "initial_option": choice, "initial_options": [choice], "initial_date": "2026-02-28", "initial_time": "23:59",
        "initial_value": "abc",
    }  # fmt: skip
    assert wrong({**many, **element, pointer: good[pointer]}) == []
