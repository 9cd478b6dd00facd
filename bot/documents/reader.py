"""Typed reading of a tree: each function returns the value, or None after noting the mistake."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta

from bot.core.policy import parse_duration
from bot.documents.mistakes import Notes, shown, suggest
from bot.documents.tree import Entries, Items, Scalar, Tree

_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})
_RATIO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(%?)", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def absent(tree: Tree | None) -> bool:
    """Whether there is no value: the key is missing, empty, `~` or `null`."""
    return tree is None or (isinstance(tree, Scalar) and tree.tag == "null")


def entries(tree: Tree, notes: Notes, what: str, known: Iterable[str] | None = None) -> dict[str, Tree]:
    """The mapping by key; with `known`, other keys are noted and left out. `what` names it for people."""
    if absent(tree):
        return {}
    if not isinstance(tree, Entries):
        notes.add(
            tree.line, f"{what} must be a mapping", "Write it as lines of `key: value`, indented alike."
        )
        return {}
    options = None if known is None else list(known)
    found: dict[str, Tree] = {}
    for key, value in tree.entries:
        if options is not None and key.text not in options:
            notes.add(key.line, f"unknown key {shown(key.text)} in {what}", suggest(key.text, options))
        else:
            found[key.text] = value
    return found


def items(tree: Tree, notes: Notes, what: str) -> tuple[Tree, ...]:
    """The members of a list; a single value stands for a list of one."""
    if absent(tree):
        return ()
    if isinstance(tree, Items):
        return tree.items
    if isinstance(tree, Scalar):
        return (tree,)
    notes.add(
        tree.line, f"{what} must be a list", "Write it as [one, two], or as lines that begin with `- `."
    )
    return ()


def text(tree: Tree, notes: Notes, what: str) -> str | None:
    """A single text, as it was written."""
    if not isinstance(tree, Scalar):
        notes.add(tree.line, f"{what} must be a single text", "Write it on one line after the colon.")
        return None
    if absent(tree) or not tree.text.strip():
        notes.add(tree.line, f"{what} is empty", "Write the value after the colon, or remove the key.")
        return None
    return tree.text.strip()


def choice(tree: Tree, notes: Notes, what: str, options: Collection[str]) -> str | None:
    """One word out of a few; capitals do not matter."""
    word = text(tree, notes, what)
    if word is None:
        return None
    by_folded = {option.casefold(): option for option in options}
    if word.casefold() not in by_folded:
        notes.add(tree.line, f"{what}: {shown(word)} is not possible", suggest(word, options))
        return None
    return by_folded[word.casefold()]


def duration(tree: Tree, notes: Notes, what: str, *, zero: bool = False) -> timedelta | None:
    """A duration such as 90s, 15m, 2h, 1h30m, 2d; from 1s to 30d, `0m` only with `zero`."""
    written = text(tree, notes, what)
    if written is None:
        return None
    try:
        return parse_duration(written, zero=zero)
    except ValueError as error:
        unit = " A number needs its unit: s, m, h or d." if written.isdecimal() else ""
        notes.add(
            tree.line, f"{what}: {error}", f"Write a duration from {'0m' if zero else '1s'} to 30d.{unit}"
        )
        return None


def ratio(tree: Tree, notes: Notes, what: str) -> float | None:
    """A ratio as 0.25 or 25%; above 0."""
    written = text(tree, notes, what)
    if written is None:
        return None
    match = _RATIO.fullmatch(written)
    value = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < value <= 100:
        notes.add(tree.line, f"{what}: {shown(written)} is not a share", "Write it like 25% or 0.25.")
        return None
    return value


def count(tree: Tree, notes: Notes, what: str, most: int = 1_000_000) -> int | None:
    """A whole number from 1 to `most`."""
    written = text(tree, notes, what)
    if written is None:
        return None
    if not _INTEGER.fullmatch(written) or not 1 <= int(written) <= most:
        notes.add(
            tree.line, f"{what}: {shown(written)} is not possible", f"Write a whole number, 1 to {most}."
        )
        return None
    return int(written)


def truth(tree: Tree, notes: Notes, what: str) -> bool | None:
    """true or false; yes, no, on and off will do."""
    written = text(tree, notes, what)
    if written is None:
        return None
    if written.casefold() not in _TRUE | _FALSE:
        notes.add(tree.line, f"{what}: {shown(written)} is neither true nor false", "Write true or false.")
        return None
    return written.casefold() in _TRUE


def day(tree: Tree, notes: Notes, what: str) -> date | None:
    """A calendar date, 2026-01-31."""
    written = text(tree, notes, what)
    if written is None:
        return None
    try:
        return date.fromisoformat(written)
    except ValueError:
        notes.add(tree.line, f"{what}: {shown(written)} is not a date", "Write it like 2026-01-31.")
        return None


def instant(tree: Tree, notes: Notes, what: str) -> datetime | None:
    """An instant with its zone, 2026-01-31T03:10:00Z; returned in UTC."""
    written = text(tree, notes, what)
    if written is None:
        return None
    try:
        found = datetime.fromisoformat(written)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        notes.add(tree.line, f"{what} has no time zone", "Add Z for UTC, or an offset such as +01:00.")
    except (ValueError, OverflowError):
        notes.add(tree.line, f"{what}: {shown(written)} is not a time", "Write it like 2026-01-31T03:10:00Z.")
    return None


def plain(tree: Tree) -> object:
    """The value as JSON-able data: numbers, truth values and texts as YAML 1.2 takes them."""
    if isinstance(tree, Entries):
        return {key.text: plain(value) for key, value in tree.entries}
    if isinstance(tree, Items):
        return [plain(item) for item in tree.items]
    if tree.tag == "null":
        return None
    if tree.tag == "bool":
        return tree.text.casefold() in _TRUE
    if tree.tag in {"int", "float"}:
        return _number(tree.text)
    return tree.text


def _number(written: str) -> int | float | str:
    """The number, or the text when it is none that JSON can hold (infinite, or in an exotic notation)."""
    if _INTEGER.fullmatch(written):
        return int(written)
    try:
        value = float(written)
    except ValueError:
        return written
    return value if math.isfinite(value) else written
