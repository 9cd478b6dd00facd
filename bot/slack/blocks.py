"""Messages and their blocks, within Slack's limits.

What these functions take is already safe: outside text went through ``bot.core.text`` before, and what
looks like markup here was put there by a renderer. Limits are Slack's (Block Kit reference), in code points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.core.text import inline

Block = dict[str, Any]

TEXT_MAX = 3900  # Slack splits a text above about 4,000 into several messages
SECTION_MAX = 2900
HEADER_MAX = 150
BLOCKS_MAX = 50
# All blocks of one message together; Slack answers msg_blocks_too_long somewhere above.
BODY_MAX = 11_000
LABEL_MAX = 75
VALUE_MAX = 2000
BUTTON_ROWS_MAX = 20
CUT_NOTE = "… (cut: the rest is too long for one message)"


class Unrenderable(ValueError):
    """A row that cannot become a message without changing its meaning; it is refused for good."""


@dataclass(frozen=True, slots=True)
class Message:
    """One Slack message. ``text`` carries the full meaning, since screen readers read only it."""

    text: str
    blocks: tuple[Block, ...] = ()
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """The question that Slack asks before it lets a button through."""

    title: str
    text: str
    ok: str
    deny: str = "Not now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button; its label names verb and object, so that it is clear without its surroundings."""

    action: str
    label: str
    value: str
    style: str = ""
    confirm: Confirm | None = None


@dataclass(slots=True)
class Body:
    """Collects a message part by part: what is said in ``text`` and what is shown in ``blocks``."""

    lines: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def say(self, line: str, shown: str | None = None) -> None:
        """One line (or fence) for both; ``shown`` is its form in the blocks where that differs."""
        self.lines.append(line)
        self.show(line if shown is None else shown)

    def show(self, line: str) -> None:
        """A line for the blocks alone; it joins the section before it while there is room."""
        if not line.strip():
            return
        last = self.blocks[-1] if self.blocks else None
        if last is not None and last["type"] == "section":
            joined = f"{last['text']['text']}\n{line}"
            if len(joined) <= SECTION_MAX:
                last["text"]["text"] = joined
                return
        self.blocks.append(section(line))

    def add(self, *blocks: Block) -> None:
        """Blocks of any other kind."""
        self.blocks.extend(blocks)

    def message(self, buttons: Sequence[Button] = (), metadata: Mapping[str, Any] | None = None) -> Message:
        """The finished message; the buttons are kept when the rest has to be cut."""
        ending = actions(buttons)[:BUTTON_ROWS_MAX]
        shown = _cut_blocks(self.blocks, BLOCKS_MAX - len(ending))
        return Message(clip(self.lines), (*shown, *ending), metadata)


def clip(lines: Iterable[str], limit: int = TEXT_MAX) -> str:
    """Whole lines as long as they fit, so that no entity, mention or link is cut in its middle."""
    kept: list[str] = []
    room = limit - len(CUT_NOTE) - 1
    for line in lines:
        if len(line) + 1 > room:
            kept.append(CUT_NOTE)
            break
        kept.append(line)
        room -= len(line) + 1
    return "\n".join(kept)


def _cut_blocks(blocks: Sequence[Block], most: int) -> list[Block]:
    kept: list[Block] = []
    room = BODY_MAX
    for block in blocks:
        room -= _weight(block)
        if len(kept) >= most - 1 or room < 0:
            kept.append(context(CUT_NOTE))
            break
        kept.append(block)
    return kept


def _weight(block: Block) -> int:
    text = block.get("text")
    return len(text["text"]) if isinstance(text, dict) else 50


def section(text: str) -> Block:
    """A paragraph of mrkdwn."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def header(text: str) -> Block:
    """A heading; gives the message a structure that assistive technology can follow."""
    return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": True}}


def context(text: str) -> Block:
    """A small line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def divider() -> Block:
    """A rule between two parts."""
    return {"type": "divider"}


def actions(buttons: Sequence[Button]) -> list[Block]:
    """Rows of buttons. An action_id may stand once in a block, so a repeated one starts the next row."""
    rows: list[list[Block]] = []
    for button in buttons:
        if not rows or len(rows[-1]) >= 5 or any(b["action_id"] == button.action for b in rows[-1]):
            rows.append([])
        rows[-1].append(_button(button))
    return [{"type": "actions", "elements": row} for row in rows]


def _button(button: Button) -> Block:
    if not button.label.strip() or not button.action:
        raise Unrenderable(f"a button without label or action: {button.action or button.label!r}")
    if len(button.value) > VALUE_MAX:
        raise Unrenderable(f"the value of the button {button.action} is longer than {VALUE_MAX}")
    built: Block = {
        "type": "button",
        "action_id": button.action,
        "text": {"type": "plain_text", "text": inline(button.label, LABEL_MAX), "emoji": True},
    }
    if button.value:
        built["value"] = button.value
    if button.style in ("primary", "danger"):
        built["style"] = button.style
    if button.confirm is not None:
        built["confirm"] = _confirm(button.confirm)
    return built


def _confirm(confirm: Confirm) -> Block:
    parts = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
    said = {"title": confirm.title, "text": confirm.text, "confirm": confirm.ok, "deny": confirm.deny}
    return {
        name: {"type": "plain_text", "text": inline(said[name], most) or name.capitalize()}
        for name, most in parts.items()
    }
