"""Block Kit validation: what Slack refuses in blocks, messages and views, said as Slack says it.

Limits are those of Slack's reference for blocks, elements and views; lengths count Unicode code points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.model import Json

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
VIEW_BYTES = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One violation: where (a JSON pointer), what, and the constraint that failed."""

    pointer: str
    message: str
    kind: str
    expected: Any = None

    def line(self) -> str:
        """The line of `response_metadata.messages`, without its level."""
        return f"{self.message} [json-pointer:{self.pointer}]"

    def detail(self) -> Json:
        """The entry of blocks.validate's `errors`."""
        return {
            "code": "failed_constraint",
            "message": self.message,
            "pointer": self.pointer,
            "constraint": {"type": self.kind, "expected": self.expected},
        }


@dataclass(slots=True)
class Checker:
    """Collects the problems of one payload; the rules call its small checks."""

    problems: list[Problem] = field(default_factory=list)

    def refuse(self, pointer: str, message: str, kind: str, expected: Any = None) -> None:
        """Note a violation."""
        self.problems.append(Problem(pointer=pointer, message=message, kind=kind, expected=expected))

    def string(
        self, owner: Json, at: str, name: str, most: int, *, least: int = 0, needed: bool = False
    ) -> None:
        """A string member of at most `most` code points."""
        value = owner.get(name)
        if value is None:
            if needed:
                self.refuse(at, f"missing required field: {name}", "required", name)
            return
        pointer = f"{at}/{name}"
        if not isinstance(value, str):
            self.refuse(pointer, "must be a string", "type", "string")
        elif len(value) > most:
            self.refuse(pointer, f"must be less than {most + 1} characters", "max_length", most)
        elif len(value) < least:
            self.refuse(pointer, f"must be more than {least - 1} characters", "min_length", least)

    def text(
        self,
        owner: Json,
        at: str,
        name: str,
        most: int,
        *,
        kinds: tuple[str, ...] = ("plain_text", "mrkdwn"),
        needed: bool = False,
    ) -> None:
        """A text object of at most `most` code points and at least one."""
        value = owner.get(name)
        if value is None:
            if needed:
                self.refuse(at, f"missing required field: {name}", "required", name)
            return
        pointer = f"{at}/{name}"
        if not isinstance(value, dict):
            self.refuse(pointer, "must be an object", "type", "object")
            return
        if value.get("type") not in kinds:
            self.refuse(f"{pointer}/type", f"unsupported type: {value.get('type')}", "enum", list(kinds))
            return
        before = len(self.problems)
        self.string(value, pointer, "text", most, least=1, needed=True)
        self.only(value, pointer, ("type", "text", "emoji", "verbatim"))
        if len(self.problems) > before:
            first = Problem(pointer=pointer, message="failed to match all allowed schemas", kind="schema")
            self.problems.insert(before, first)

    def items(self, owner: Json, at: str, name: str, most: int, *, least: int = 1) -> list[tuple[str, Json]]:
        """The members of an array with their pointers; objects only."""
        value = owner.get(name)
        if value is None:
            self.refuse(at, f"missing required field: {name}", "required", name)
            return []
        return self.array(value, f"{at}/{name}", most, least=least)

    def array(self, value: Any, pointer: str, most: int, *, least: int = 1) -> list[tuple[str, Json]]:
        """The members of an array that is at hand."""
        if not isinstance(value, list):
            self.refuse(pointer, "must be an array", "type", "array")
            return []
        if len(value) > most:
            self.refuse(pointer, f"no more than {most} items allowed", "max_items", most)
            return []
        if len(value) < least:
            self.refuse(pointer, f"no fewer than {least} items allowed", "min_items", least)
        found: list[tuple[str, Json]] = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                found.append((f"{pointer}/{index}", item))
            else:
                self.refuse(f"{pointer}/{index}", "must be an object", "type", "object")
        return found

    def choice(self, owner: Json, at: str, name: str, allowed: Iterable[str]) -> None:
        """A member that is absent or one of the words."""
        if owner.get(name) is not None and owner[name] not in allowed:
            self.refuse(f"{at}/{name}", "value must be one of the allowed values", "enum", list(allowed))

    def only(self, owner: Json, at: str, allowed: Iterable[str]) -> None:
        """No members but these."""
        for name in owner:
            if name not in allowed:
                self.refuse(at, f"invalid additional property: {name}", "additional_property", name)


Rule = Callable[[Checker, Json, str], None]


def check_blocks(blocks: Any, *, most: int = MESSAGE_BLOCKS, pointer: str = "/blocks") -> list[Problem]:
    """The violations of a list of blocks; none when it is fine."""
    from sandbox.slack.block_rules import check_block  # the rules import this module's Checker

    checker = Checker()
    tables = 0
    for at, block in checker.array(blocks, pointer, most, least=0):
        check_block(checker, block, at)
        tables += block.get("type") == "table"
    if tables > 1:
        checker.refuse(pointer, "only one table allowed", "max_items", 1)
    return checker.problems


def _unique_ids(checker: Checker, blocks: Any, pointer: str) -> None:
    seen: set[str] = set()
    for index, block in enumerate(blocks if isinstance(blocks, list) else []):
        block_id = block.get("block_id") if isinstance(block, dict) else None
        if isinstance(block_id, str) and block_id:
            if block_id in seen:
                checker.refuse(f"{pointer}/{index}/block_id", "block_id already exists", "unique", block_id)
            seen.add(block_id)


def check_view(view: Any, *, pointer: str = "/view") -> list[Problem]:
    """The violations of a modal or a home tab."""
    checker = Checker()
    if not isinstance(view, dict):
        checker.refuse(pointer, "must be an object", "type", "object")
        return checker.problems
    if view.get("type") not in ("modal", "home"):
        checker.refuse(f"{pointer}/type", f"unsupported type: {view.get('type')}", "enum", ["modal", "home"])
        return checker.problems
    modal = view["type"] == "modal"
    plain = ("plain_text",)
    for name in ("title", "submit", "close"):
        checker.text(view, pointer, name, 24, kinds=plain, needed=modal and name == "title")
    checker.string(view, pointer, "private_metadata", 3000)
    checker.string(view, pointer, "callback_id", 255)
    checker.string(view, pointer, "external_id", 255)
    blocks = view.get("blocks")
    if blocks is None:
        checker.refuse(pointer, "missing required field: blocks", "required", "blocks")
        return checker.problems
    checker.problems += check_blocks(blocks, most=VIEW_BLOCKS, pointer=f"{pointer}/blocks")
    _unique_ids(checker, blocks, f"{pointer}/blocks")
    inputs = any(isinstance(b, dict) and b.get("type") == "input" for b in _list(blocks))
    if modal and inputs and not view.get("submit"):
        checker.refuse(pointer, "missing required field: submit", "required", "submit")
    return checker.problems


def check_message(message: Any) -> list[Problem]:
    """The violations of a message payload: its blocks and the blocks of its attachments."""
    checker = Checker()
    if not isinstance(message, dict):
        checker.refuse("", "must be an object", "type", "object")
        return checker.problems
    if message.get("blocks") is not None:
        checker.problems += check_blocks(message["blocks"])
    for at, attachment in checker.array(message.get("attachments") or [], "/attachments", 100, least=0):
        if attachment.get("blocks") is not None:
            checker.problems += check_blocks(attachment["blocks"], pointer=f"{at}/blocks")
    return checker.problems


def fill_ids(blocks: list[Json], new: Callable[[], str]) -> list[Json]:
    """The blocks with a block_id and action_ids where the app left them out, as Slack adds them."""

    def element(value: Any) -> Any:
        if isinstance(value, dict) and value.get("type") in INTERACTIVE and not value.get("action_id"):
            return {**value, "action_id": new()}
        return value

    filled: list[Json] = []
    for block in blocks:
        block = {**block, "block_id": block.get("block_id") or new()}
        for name in ("accessory", "element"):
            if name in block:
                block[name] = element(block[name])
        if isinstance(block.get("elements"), list) and block.get("type") in ("actions", "context_actions"):
            block["elements"] = [element(item) for item in block["elements"]]
        filled.append(block)
    return filled


_NEEDS_ACTION_ID = (
    "button checkboxes datepicker datetimepicker timepicker email_text_input url_text_input number_input "
    "plain_text_input rich_text_input radio_buttons overflow file_input static_select external_select "
    "users_select conversations_select channels_select multi_static_select multi_external_select "
    "multi_users_select multi_conversations_select multi_channels_select icon_button feedback_buttons "
    "workflow_button"
)
INTERACTIVE = frozenset(_NEEDS_ACTION_ID.split())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
