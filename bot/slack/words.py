"""Words that all renderers share: severities, states, times, people, tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any
from zoneinfo import ZoneInfo

from bot.core.incident import Incident
from bot.core.text import clean, code, cut, inline, plain
from bot.slack.blocks import SECTION_MAX, Body, Button, Confirm

# The document's circles; the word always stands beside, since a colour alone tells nothing to many.
_SHAPES = {
    "critical": ":red_circle:",
    "warning": ":large_orange_circle:",
    "info": ":large_yellow_circle:",
    "ok": ":white_check_mark:",
    "unknown": ":grey_question:",
}
LINE_MAX = 2800
CELL_MAX = 48
USER_ID = re.compile(r"[UW][A-Z0-9]{4,}")
GROUP_ID = re.compile(r"S[A-Z0-9]{5,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a renderer knows besides the row.

    people: Slack ids by the references that rows hold (id, e-mail or handle); one that is absent is
        shown by its name and pings nobody.
    """

    incident: Incident | None = None
    people: Mapping[str, str] = field(default_factory=dict)


def severity_word(severity: str) -> str:
    """ "CRITICAL"; for what is read aloud."""
    return severity.upper() if severity in _SHAPES else inline(severity.upper(), 20) or "UNKNOWN"


def severity_mark(severity: str) -> str:
    """ ":red_circle: CRITICAL": the document's circle and the word."""
    return f"{_SHAPES.get(severity, _SHAPES['unknown'])} {severity_word(severity)}"


def moment(at: datetime | str | None) -> str:
    """ "2026-11-23 03:10 UTC", for plain text; empty for None and for what is no instant."""
    instant = _instant(at)
    return "" if instant is None else instant.strftime("%Y-%m-%d %H:%M UTC")


def moment_in(at: datetime | str | None, zone: str) -> str:
    """ "2026-11-23 03:10 UTC (04:10 Europe/Berlin)"; a zone that nobody knows, or UTC, adds nothing."""
    instant = _instant(at)
    if instant is None:
        return ""
    try:
        there = instant.astimezone(ZoneInfo(zone))
    except (ValueError, KeyError, OSError):
        return moment(instant)
    if there.utcoffset() == instant.utcoffset():
        return moment(instant)
    form = "%H:%M" if there.date() == instant.date() else "%Y-%m-%d %H:%M"
    return f"{moment(instant)} ({there.strftime(form)} {inline(zone, 40)})"


def date_mark(at: datetime | str | None) -> str:
    """The instant in each reader's own zone, with the UTC time for those whose client cannot."""
    instant = _instant(at)
    if instant is None:
        return ""
    return f"<!date^{int(instant.timestamp())}^{{date_num}} {{time}}|{moment(instant)}>"


def _instant(at: datetime | str | None) -> datetime | None:
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return None
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def mention(ref: str, frame: Frame) -> str:
    """A ping of a person or user group, or the bare name when Slack does not know it."""
    slack_id = frame.people.get(ref, ref)
    if USER_ID.fullmatch(slack_id):
        return f"<@{slack_id}>"
    if GROUP_ID.fullmatch(slack_id):
        return f"<!subteam^{slack_id}>"
    return inline(ref, 80)


def person(name: str) -> str:
    """A person of the timeline: the roster's name, or who stands behind ``slack:U...``, without a ping
    beyond what Slack does for a mention in a message that is edited (nothing)."""
    slack_id = name.removeprefix("slack:")
    if slack_id != name and USER_ID.fullmatch(slack_id):
        return f"<@{slack_id}>"
    return inline(name, 80)


def channel_link(channel: str) -> str:
    """A link to a channel by its id; empty for what is no id."""
    return f"<#{channel}>" if re.fullmatch(r"[CGD][A-Z0-9]{4,}", channel) else ""


def prose(text: str, limit: int) -> str:
    """Outside text that keeps its lines: escaped, and without a code fence that it might leave open."""
    return plain(text, limit).replace("```", "'''")


def paragraphs(body: Body, text: str) -> None:
    """The desk's plain text, line by line, escaped; code fences have no meaning in it."""
    for line in clean(text).splitlines():
        body.say(prose(line, LINE_MAX))


TABLE_WIDTH = 74
TABLE_LINES = 32
"""More than a telephone shows at once is counted: the terminal, or a filter, shows the rest."""
UNDER_MAX = (230, 110, CELL_MAX)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], limit: int = SECTION_MAX) -> str:
    """An aligned table in a code fence of at most ``limit`` characters; what does not fit is counted.

    A table that is wider than a message's window, where lines would wrap and columns fall apart, or whose last cells
    are long, has its last columns under each row instead, named, and told at greater length where that leaves no row
    out.
    """
    if not columns:
        return ""
    for most in UNDER_MAX:
        shown, left = _drawn(columns, rows, limit, most)
        if not left:
            break
    return "```\n" + "\n".join(shown) + "\n```"


def _drawn(
    columns: Sequence[str], rows: Sequence[Sequence[str]], limit: int, most: int
) -> tuple[list[str], int]:
    """The lines that fit, and how many rows did not; a cell under its row has at most ``most`` characters."""
    cells, under = _narrowed([list(map(str, row)) for row in [columns, *rows]], most)
    widths = [max(len(row[i]) if i < len(row) else 0 for row in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)).rstrip() for row in cells]
    lines = [line + rest for line, rest in zip(lines, under, strict=True)]
    lines.insert(1, "  ".join("-" * w for w in widths))
    kept: list[str] = []
    room, screen = limit - 60, TABLE_LINES
    for line in lines:
        safe = "\n".join(code(part, LINE_MAX) for part in line.split("\n"))
        room -= len(safe) + 1
        screen -= safe.count("\n") + 1
        if room < 0 or screen < 0:
            break
        kept.append(safe)
    left = len(lines) - len(kept)
    if left:
        kept.append(f"... and {left} more")
    return kept, left


def _narrowed(raw: list[list[str]], most: int) -> tuple[list[list[str]], list[str]]:
    """The columns that fit beside each other, and what stands under each row (nothing for most tables)."""
    cells = [[_cell(cell, CELL_MAX) for cell in row] for row in raw]
    fit = len(cells[0])
    widths = [max(len(row[i]) if i < len(row) else 0 for row in cells) for i in range(fit)]
    longest = [max((len(row[i]) for row in raw[1:] if i < len(row)), default=0) for i in range(fit)]
    wide = [sum(widths[:n]) + 2 * (n - 1) > TABLE_WIDTH for n in range(fit + 1)]
    while fit > 1 and ((fit > 2 and wide[fit]) or longest[fit - 1] > CELL_MAX):
        fit -= 1
    names = cells[0][fit:]
    under = [""]
    for row in raw[1:]:
        rest = [
            f"{name}: {said}" for name, c in zip(names, row[fit:], strict=False) if (said := _cell(c, most))
        ]
        under.append("".join(f"\n    {line}" for part in rest for line in wrap(part, TABLE_WIDTH - 4)))
    return [row[:fit] for row in cells], under


def _cell(text: str, most: int) -> str:
    # Cells stand beside each other: a backtick of one and two of the next would make a fence.
    return cut(" ".join(clean(str(text)).split()).replace("`", "'"), most)


def button_of(raw: Mapping[str, Any]) -> Button:
    """A button as a row holds it: {action, label, value, style?, confirm?: {title, text, ok, deny}}."""
    asked = raw.get("confirm")
    confirm = None
    if isinstance(asked, Mapping):
        confirm = Confirm(
            title=str(asked.get("title", "Are you sure?")),
            text=str(asked.get("text", "")),
            ok=str(asked.get("ok", "Yes")),
            deny=str(asked.get("deny", "Not now")),
        )
    return Button(
        action=str(raw.get("action", "")),
        label=str(raw.get("label", "")),
        value=str(raw.get("value", "")),
        style=str(raw.get("style", "")),
        confirm=confirm,
    )


def buttons_of(data: Mapping[str, Any]) -> list[Button]:
    """The row's buttons, in its order."""
    return [button_of(raw) for raw in data.get("buttons") or ()]
