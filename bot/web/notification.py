"""Is it a notification, and which delivery of it? Pure; asked before the commit and the answer.

What is stored is the raw body: the processor reads it again, in full.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from bot.core.alert_model import TestNotification, Unusable
from bot.core.alerts import parse_monitoring
from bot.core.budget import is_budget, parse_budget
from bot.web.limits import Undecodable, decode

MONITORING = "cloud-monitoring"
BUDGET = "budget"
UNREADABLE = "pubsub"

_META_WEBHOOK = '{"via":"webhook"}'
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # only whether it can be read is asked here


class Arrival(NamedTuple):  # a tuple, because one is made for every request of a storm
    """One delivery, ready to be stored. ``dead`` says why it can never be processed ("" when it can)."""

    source: str
    key: str
    body: bytes
    meta: str
    dead: str = ""
    test: bool = False

    @property
    def row(self) -> tuple[str, str, bytes, str, str]:
        """What the store takes."""
        return self[:5]


def check_monitoring(obj: object, body: bytes) -> tuple[str, bool]:
    """The delivery key of a decoded Cloud Monitoring notification, and whether it is the test button's.

    Raises Unusable for what the processor could not make an alert of.
    """
    digest = hashlib.sha256(body).hexdigest()[:16]
    usual = _usual(obj)
    if usual is not None:
        return f"{usual[0]}:{usual[1]}:{digest}", False
    found = parse_monitoring(obj, _ANY_TIME)
    if isinstance(found, TestNotification):
        return f"test:{digest}", True
    return f"{found.key}:{found.state}:{digest}", False


def _usual(obj: object) -> tuple[str, str] | None:
    """(incident id, state) of a notification as Google writes them; None: look closer."""
    if type(obj) is not dict or type(obj.get("version")) is not str or obj["version"] != "1.2":
        return None
    incident = obj.get("incident")
    if type(incident) is not dict:
        return None
    number, state = incident.get("incident_id"), incident.get("state")
    if type(number) is not str or (state != "open" and state != "closed"):
        return None
    # The same limits as the core's, in the form that almost every id has.
    plain = number.isascii() and number.isprintable() and 0 < len(number) <= 100 and " " not in number
    return (number, state) if plain else None


def from_webhook(body: bytes, wall: Callable[[], datetime]) -> Arrival:
    """A Cloud Monitoring webhook. Raises Unusable (or Undecodable) with the reason for the sender.

    ``wall``, real time, tells presses of the test button apart by the minute: their bodies are all alike.
    """
    key, test = check_monitoring(decode(body), body)
    if test:
        return Arrival(MONITORING, f"{key}:{wall():%Y%m%dT%H%M}", body, _META_WEBHOOK, test=True)
    return Arrival(MONITORING, key, body, _META_WEBHOOK)


def from_message(
    subscription: str, message_id: str, data: bytes, attributes: Mapping[str, str], via: str
) -> Arrival:
    """A Pub/Sub message, pushed or pulled. Never raises: what cannot be used is stored as dead."""
    meta = _meta(attributes, via)
    key = f"{subscription}/{message_id or 'sha256:' + hashlib.sha256(data).hexdigest()}"
    try:
        obj = decode(data)
        if is_budget(attributes, obj):
            parse_budget(attributes, obj)
            return Arrival(source=BUDGET, key=key, body=data, meta=meta)
        _, test = check_monitoring(obj, data)
    except (Undecodable, Unusable) as error:
        return Arrival(source=UNREADABLE, key=key, body=data, meta=meta, dead=str(error))
    return Arrival(source=MONITORING, key=key, body=data, meta=meta, test=test)


def from_push(body: bytes) -> Arrival:
    """A Pub/Sub push request. Never raises: what cannot be used is stored as dead."""
    try:
        envelope = decode(body)
        subscription, message_id, data, attributes = _unwrap(envelope)
    except (Undecodable, Unusable) as error:
        key = f"sha256:{hashlib.sha256(body).hexdigest()}"
        return Arrival(source=UNREADABLE, key=key, body=body, meta='{"via":"push"}', dead=str(error))
    return from_message(subscription, message_id, data, attributes, "push")


def _unwrap(envelope: object) -> tuple[str, str, bytes, dict[str, str]]:
    message = envelope.get("message") if isinstance(envelope, Mapping) else None
    if not isinstance(envelope, Mapping) or not isinstance(message, Mapping):
        raise Unusable("not a Pub/Sub push: `message` is missing")
    data = message.get("data", "")
    if not isinstance(data, str):
        raise Unusable("`message.data` is no text")
    try:
        raw = base64.b64decode(data, altchars=None, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unusable("`message.data` is not base64") from error
    attributes = message.get("attributes")
    plain = (
        {str(name): value for name, value in attributes.items() if isinstance(value, str)}
        if isinstance(attributes, Mapping)
        else {}
    )
    number = message.get("messageId") or message.get("message_id")
    subscription = envelope.get("subscription")
    return (
        subscription[:500] if isinstance(subscription, str) else "",
        number[:200] if isinstance(number, str) else "",
        raw,
        plain,
    )


def _meta(attributes: Mapping[str, str], via: str) -> str:
    meta: dict[str, Any] = {"attributes": dict(attributes), "via": via}
    try:
        return msgspec.json.encode(meta).decode()
    except UnicodeEncodeError:
        clean = {k.encode(errors="replace"): v.encode(errors="replace") for k, v in attributes.items()}
        meta["attributes"] = {k.decode(): v.decode() for k, v in clean.items()}
        return msgspec.json.encode(meta).decode()
