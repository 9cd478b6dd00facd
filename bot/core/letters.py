"""A page in words for a mail, and in JSON for a hook. Pure; plain text, nothing of a private incident but its name.

Interface: "Hook (outgoing)". The same page gives the same ``dedup_key`` and Message-ID, however often it is tried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.core.incident import Incident
from bot.core.policy import format_duration
from bot.core.sentences import when
from bot.core.text import clean, cut, redact

LATE_FROM_S = 30.0
PRIVATE = "private incident"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail. ``at`` is real time; ``thread`` is the Message-ID that all mails of an incident refer to."""

    to: str
    subject: str
    text: str
    message_id: str
    thread: str
    incident: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a hook. ``key`` tells a repeat from a new call."""

    key: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where a reader goes on: the acknowledgement (empty: none) and the incident's page (empty: none)."""

    acknowledge: str = ""
    incident: str = ""
    until: datetime | None = None


def letter(
    i: Incident, key: str, data: Mapping[str, Any], to: str, links: Links, *, sender: str, at: datetime
) -> Letter:
    """The mail of a page. ``key`` is its outbox row's, ``data`` the row's; ``sender`` gives the ids their domain."""
    domain = sender.rpartition("@")[2].strip("<> ") or "streamwatch"
    if data.get("written"):
        return _by_hand(i, key, data, to, domain, at)
    level = _line(data.get("level"), 40)
    again = " (may be a repeat)" if data.get("repeat") else ""
    subject = f"[{i.severity.upper()}] {i.name}, page to {level}: {_title(i)}{again}"
    return Letter(
        to=to,
        subject=_line(subject, 180),
        text="\n".join(_text(i, data, links)) + "\n",
        message_id=f"<{_digest(i, key)}@{domain}>",
        thread=f"<{_digest(i, i.name)}@{domain}>",
        incident=i.name,
        at=at,
    )


def _by_hand(i: Incident, key: str, data: Mapping[str, Any], to: str, domain: str, at: datetime) -> Letter:
    """What a person wrote to a contact, word by word; they had read it before it was sent."""
    lines = [_line(line, 600) for line in str(data["written"]).splitlines()]
    return Letter(
        to=to,
        subject=_line(f"{i.name}, a message of {data['by']}: {_title(i)}", 180),
        text="\n".join(lines) + "\n",
        message_id=f"<{_digest(i, key)}@{domain}>",
        thread=f"<{_digest(i, i.name)}@{domain}>",
        incident=i.name,
        at=at,
    )


def notice(key: str, data: Mapping[str, Any], to: str, links: Links, *, sender: str, at: datetime) -> Letter:
    """A mail that belongs to no incident, such as the weekly test page: ``data`` has subject and text."""
    domain = sender.rpartition("@")[2].strip("<> ") or "streamwatch"
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    lines = [_line(line, 600) for line in str(data["text"]).splitlines()]
    if links.acknowledge:
        lines += ["", f"Acknowledge: {links.acknowledge}", "(A page with a button opens.)"]
    return Letter(
        to=to,
        subject=_line(data["subject"], 180),
        text="\n".join(lines) + "\n",
        message_id=f"<{name}@{domain}>",
        thread=f"<{name}@{domain}>",
        incident="",
        at=at,
    )


def notice_call(key: str, data: Mapping[str, Any], links: Links) -> Call:
    """The hook's call of a notice: a page of severity info that names no incident."""
    body = {
        "event": "page",
        "dedup_key": key,
        "summary": _line(data["text"], 1000),
        "severity": "info",
        "incident": None,
        "level": str(data.get("level") or ""),
        "person": str(data.get("person") or ""),
        "ack_url": links.acknowledge or None,
    }
    return Call(key=f"{key}:page", body=body)


def call(i: Incident, data: Mapping[str, Any], links: Links) -> Call:
    """The call that tells a hook of a page."""
    dedup = dedup_key(i, str(data["page"]))
    body = _body(i, "page", dedup, data, _summary(i, data), links.acknowledge)
    if data.get("repeat"):
        body["repeat"] = True
    return Call(key=f"{dedup}:page", body=body)


def taken_back(i: Incident, data: Mapping[str, Any]) -> Call:
    """The call that tells a hook that the incident of a page is resolved."""
    dedup = dedup_key(i, str(data["page"]))
    return Call(key=f"{dedup}:resolve", body=_body(i, "resolve", dedup, data, f"{i.name} is resolved", ""))


def dedup_key(i: Incident, page: str) -> str:
    """One page's name for a paging service; the opening's time keeps two installations' first incidents apart."""
    return f"{page}@{int(i.opened_at.timestamp())}"


def _body(
    i: Incident, event: str, dedup: str, data: Mapping[str, Any], summary: str, ack_url: str
) -> dict[str, Any]:
    return {
        "event": event,
        "dedup_key": dedup,
        "summary": _line(summary, 1000),
        "severity": str(i.severity),
        "incident": i.name,
        "level": str(data.get("level") or ""),
        "person": str(data.get("person") or ""),
        "ack_url": ack_url or None,
    }


def _summary(i: Incident, data: Mapping[str, Any]) -> str:
    reasons = "; ".join(str(reason) for reason in data.get("reasons") or ())
    if i.private:
        return f"{i.name}: {PRIVATE}"
    told = f"{i.name}, {i.severity}: {i.title}" + (f" ({reasons})" if reasons else "")
    return f"{data['note']} {told}" if data.get("emergency") and data.get("note") else told


def _text(i: Incident, data: Mapping[str, Any], links: Links) -> list[str]:
    lines = [f"Page to {_line(data.get('level'), 40)}: {i.name}, {i.severity}, {_title(i)}", ""]
    if data.get("repeat"):
        lines += ["This may be a repeat: it is not known whether the first one arrived.", ""]
    if not i.private:
        lines += [f"Pipeline: {_line(i.pipeline, 120)}", *_reasons(data)]
    lines.append(f"Due: {when(data['due_at'])}{_late(data)}")
    if not i.private:
        told = [str(data.get("summary") or ""), *_texts(data.get("lines"))]
        lines += [_line(line, 600) for line in told if line.strip()]
        lines += [_line(line, 600) for line in _texts(data.get("brief"))]
    lines.append("")
    if links.acknowledge:
        good = f" Works once, until {when(links.until)}." if links.until else ""
        lines += [f"Acknowledge: {links.acknowledge}", f"(A page with a button opens.{good})", ""]
    if data.get("to") is None:
        lines.append(f"In Slack: press the button of the page, or type /incident ack {i.name}.")
    if links.incident and not i.private:
        lines.append(f"The incident: {links.incident}")
    return lines


def _reasons(data: Mapping[str, Any]) -> list[str]:
    reasons = "; ".join(_line(reason, 300) for reason in _texts(data.get("reasons"))[:6])
    return [f"Why: {reasons}"] if reasons else []


def _late(data: Mapping[str, Any]) -> str:
    late = float(data.get("late_s") or 0.0)
    return f", sent {format_duration(timedelta(seconds=late))} late" if late >= LATE_FROM_S else ""


def _title(i: Incident) -> str:
    return PRIVATE if i.private else _line(i.title, 300)


def _texts(value: Any) -> Sequence[str]:
    return [str(part) for part in value] if isinstance(value, list | tuple) else ()


def _line(value: object, limit: int) -> str:
    """Outside text on one line, without secrets and unseen characters."""
    return cut(" ".join(redact(clean(str(value or ""))).split()), limit)


def _digest(i: Incident, key: str) -> str:
    return hashlib.sha256(f"{key}@{i.opened_at.isoformat()}".encode()).hexdigest()[:32]
