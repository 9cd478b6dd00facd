"""What must not be shown, and what makes two texts the same.  Pure.

RULES "Operations at 03:10": peek masks user_id, session_id, payment fields, e-mails and runs of
more than eight digits.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

MASK: Final = "•••"
_SECRET_KEYS: Final = frozenset(
    {
        "userid",
        "sessionid",
        "user",
        "session",
        "email",
        "mail",
        "iban",
        "bic",
        "pan",
        "cvv",
        "cvc",
        "cardnumber",
    }
    | {"accountnumber", "phone", "password", "token"}
)
_SECRET_PARTS: Final = ("payment", "card", "iban", "email")
_EMAIL: Final = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# Digits may be grouped, as card numbers are; dates and times are not runs of digits.
_DIGITS: Final = re.compile(r"\d(?:[ -]?\d){8,}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d)?")
# "session_id: required" names a rule that was broken, and no session.
_RULE: Final = r"""["']?(?:required|type|empty|format|choice)\b(?![-\w@.])"""
_PAIR: Final = re.compile(
    r"""(["']?\b(?:user_?id|session_?id|payment_?\w*|\w*card\w*|iban|e?mail|cvv|cvc|pan)["']?\s*[:=]\s*)"""
    rf"""(?!{_RULE})"""
    r"""("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;}\]]+)""",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")
_UUID: Final = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_HEX: Final = re.compile(r"\b(?:0x)?(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b")
_NUMBER: Final = re.compile(r"(?<![A-Za-z_])[-+]?\d[\d.,:_T-]*Z?|(?<=[-_/])\d+")


def is_secret(key: str) -> bool:
    """Whether a field of that name holds what must not be shown."""
    plain = re.sub(r"[^a-z]", "", key.lower())
    return plain in _SECRET_KEYS or any(part in plain for part in _SECRET_PARTS)


def mask_text(text: str) -> str:
    """A text with secrets, e-mails and long digit runs covered; works on broken JSON too."""
    text = _PAIR.sub(lambda match: match.group(1) + MASK, text)
    text = _EMAIL.sub(MASK, text)
    return _DIGITS.sub(lambda match: match.group(0) if _DATE.match(match.group(0)) else MASK, text)


def mask_value(value: Any, key: str = "") -> Any:
    """A decoded JSON value, masked by the names of its fields and by its texts."""
    if key and is_secret(key):
        return None if value is None else MASK
    if isinstance(value, dict):
        return {_key(name): mask_value(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [mask_value(inner) for inner in value]
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and re.search(r"\d{9}", str(value)):
        return MASK
    return value


def mask_payload(data: bytes, limit: int = 600) -> str:
    """An original message as one line to look at, masked, at most ``limit`` characters."""
    text = data.decode("utf-8", "replace")
    try:
        shown = json.dumps(mask_value(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = mask_text(text)
    shown = "".join(char if char.isprintable() else "�" for char in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def shape(text: str, limit: int = 160) -> str:
    """What is common to messages that differ only in their values: "row … of … failed"."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for pattern in (_QUOTED, _UUID, _HEX, _NUMBER):
        first = pattern.sub("…", first)
    first = re.sub(r"\s+", " ", re.sub(r"…(?:[\s,/:.-]*…)+", "…", first)).strip()
    return first if len(first) <= limit else first[: limit - 1] + "…"


def _key(name: object) -> str:
    return mask_text(str(name))
