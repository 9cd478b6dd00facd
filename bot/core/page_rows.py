"""Where a page goes: one outbox row for each place, and what is said there later. Pure.

Rules: "A page wakes", "A page waits for nothing". A mail and a call of the hook name no address: it is looked up
in the roster when they leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.core.delivery import Kind, Outbound, Priority
from bot.core.incident import Event, FactState, Incident, Page, stamp
from bot.core.policy import fact_words
from bot.core.roster import Way
from bot.core.rows import has_room, in_channel, invite


def page_data(i: Incident, d: Mapping[str, Any]) -> dict[str, Any]:
    """What a page's message needs; ``late_s`` is added when it is sent."""
    summary = next((a.summary for a in i.alerts.values() if a.summary), "")
    lines = [_holds(f, summary) for f in i.holding[:3]]
    if i.deletion_at and i.updated_at and i.deletion_at - i.updated_at < timedelta(hours=48):
        lines.append(f"Data will start to be deleted at {i.deletion_at:%Y-%m-%d %H:%M} UTC.")
    if i.last_status:
        lines.append(f"Last status: {i.last_status}")
    if d.get("note"):
        lines.insert(0, str(d["note"]))
    page = i.pages.get(d["page"])
    return {
        **{k: d.get(k) for k in ("page", "epoch", "step", "level", "person", "slack", "due_at", "rule")},
        "incident": i.id,
        "reasons": list(d.get("reasons", ())),
        "urgent": bool(d.get("urgent", True)),
        "title": i.title,
        "severity": str(i.severity),
        "pipeline": i.pipeline,
        "summary": summary,
        "lines": lines,
        "channel": i.channel_id,
        "acknowledged": stamp(page.acked_at) if page and page.acked_at else None,
        "acknowledged_by": i.acked_by,
        "resolved": not i.active,
    }


def _holds(fact: FactState, known: str) -> str:
    text = f": {fact.text}" if fact.text and fact.text[:80] != known[:80] else ""
    return f"Holds since {fact.begin:%Y-%m-%d %H:%M} UTC: {fact_words(fact.id)}{text}"


def place_key(page: str, place: str) -> str:
    """The outbox key of a page at one place."""
    return f"page:{page}:{_SHORT[place]}"


_SHORT: Mapping[str, str] = {Way.DM: "dm", Way.CHANNEL: "channel", Way.MAIL: "mail", Way.HOOK: "hook"}


def page_keys(page: str) -> tuple[str, ...]:
    """The outbox keys of a page, its direct message first."""
    return tuple(place_key(page, place) for place in _SHORT)


def unsent_keys(page: Page) -> list[str]:
    """The rows of a page that need not leave once it is answered; a mention stays for the record."""
    if page.sent_at is None:
        known = [p for p in _SHORT if p in page.places or p == Way.CHANNEL]
        return [place_key(page.id, p) for p in known] if page.places else list(page_keys(page.id))
    mine = (Way.DM, Way.MAIL, Way.HOOK)
    return [place_key(page.id, p) for p in mine if p in page.places and page.places[p] != "sent"]


def page_rows(i: Incident, e: Event) -> Iterable[Outbound]:
    """One row for each place that the page goes to; "twice" means twice in one place."""
    match e.type:
        case "page_rerouted":
            page = i.pages.get(e.data["page"])
            if page is not None:
                yield from _rows(i, page_data(i, again(page)), [e.data["place"]])
        case "contact_told":
            if e.data["mailed"]:
                wanted = {**e.data, "person": e.data["value"], "level": e.data["subject"], "epoch": i.epoch}
                yield _posted(i, Kind.PAGE_MAIL, {**page_data(i, wanted), "to": e.data["value"]})
        case _:
            data = page_data(i, e.data)
            slack = [Way.DM] if data["slack"] else []
            yield from _rows(i, data, e.data.get("places", slack))
            if has_room(i) or not data["slack"]:
                yield _mention(i, data)
            if i.channel_id:
                yield invite(i, f"page:{e.data['step']}:{e.data['person']}", [data["slack"]])


def letter_rows(i: Incident, e: Event) -> Iterable[Outbound]:
    """What a person wrote to a contact, as it leaves: a mail, or a direct message; a group is called in the channel."""
    d = e.data
    if d["mailed"]:
        data = {
            "page": d["page"],
            "due_at": d["due_at"],
            "to": d["value"],
            "person": d["value"],
            "level": d["subject"],
            "written": d["text"],
            "by": e.actor,
        }
        yield _posted(i, Kind.PAGE_MAIL, data)
    elif d.get("slack"):
        text = f"{e.actor} writes to you about {i.name}:\n{d['text']}"
        key = f"written:{d['page']}"
        data = {"form": "text", "text": text, "channel": d["slack"]}
        yield Outbound(key=key, kind=Kind.POST, lane=key, priority=Priority.ANSWER, data=data)


def _rows(i: Incident, data: dict[str, Any], places: Sequence[str]) -> Iterable[Outbound]:
    for place in places:
        match place:
            case Way.DM:
                yield _direct(data, i, Priority.PAGE)
            case Way.MAIL:
                yield _posted(i, Kind.PAGE_MAIL, data)
            case Way.HOOK:
                yield _posted(i, Kind.PAGE_HOOK, data)


def _posted(i: Incident, kind: Kind, data: dict[str, Any]) -> Outbound:
    """A mail or a call of the hook. Each has a lane of its own: no page waits for another."""
    key = place_key(data["page"], Way.MAIL if kind is Kind.PAGE_MAIL else Way.HOOK)
    return Outbound(key=key, kind=kind, lane=key, priority=Priority.PAGE, incident=i.id, data=data)


def _direct(data: dict[str, Any], i: Incident, priority: Priority) -> Outbound:
    return Outbound(
        key=place_key(data["page"], Way.DM),
        kind=Kind.PAGE_DM,
        lane=f"person:{data['person']}",
        priority=priority,
        incident=i.id,
        replaces=True,
        data=data,
    )


def _mention(i: Incident, data: dict[str, Any]) -> Outbound:
    return in_channel(i, Kind.PAGE_MENTION, place_key(data["page"], Way.CHANNEL), Priority.PAGE, data)


def calls(i: Incident, e: Event) -> Iterable[Outbound]:
    """The emergency step calls the hook."""
    for call in e.data.get("calls", ()):
        wanted = {"page": call["key"], "epoch": i.epoch, "step": call["key"], "level": "L1",
                  "person": call["person"], "due_at": e.data["due_at"], "reasons": [e.data["reason"]]}  # fmt: skip
        note = f"Dial {e.data['number']}." if e.data.get("number") else ""
        yield _posted(i, Kind.PAGE_HOOK, {**page_data(i, wanted), "emergency": True, "note": note})


def taken_back(i: Incident) -> Iterable[Outbound]:
    """A hook that was told of a page is told of its end; each in the page's lane, so never before it."""
    pages = [(p.id, p.person, str(p.level)) for p in i.pages.values() if Way.HOOK in p.places]
    for name, person, level in [*pages, *((key, _called(key), "L1") for key in i.calls)]:
        key = place_key(name, Way.HOOK)
        yield Outbound(
            key=f"{key}:resolve",
            kind=Kind.HOOK_RESOLVE,
            lane=key,
            priority=Priority.PAGE,
            incident=i.id,
            data={"page": name, "of": key, "person": person, "level": level},
        )


def _called(key: str) -> str:
    name = key.rsplit(":", 1)[1]
    return "" if name == "emergency" else name


def again(page: Page) -> dict[str, Any]:
    """What the event of this page said, for a message about it that leaves later."""
    return {
        "page": page.id,
        "epoch": page.epoch,
        "step": page.step,
        "level": str(page.level),
        "person": page.person,
        "slack": page.slack,
        "due_at": stamp(page.due_at),
        "reasons": list(page.reasons),
        "urgent": page.urgent,
    }


def refreshed(i: Incident) -> Iterable[Outbound]:
    """Each person's newest direct message shows the channel, and who acknowledged, by an edit in place."""
    out = [p for p in i.pages.values() if p.epoch == i.epoch and p.sent_at and _direct_is_out(p)]
    for page in {page.person: page for page in out}.values():
        yield _direct({**page_data(i, again(page)), "refresh": True}, i, Priority.NEWS)


def _direct_is_out(page: Page) -> bool:
    """Pages of older versions do not know their places."""
    return page.places.get(Way.DM, "" if page.places else "sent") == "sent"
