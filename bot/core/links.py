"""Signed acknowledgement links (rules: "A page wakes"): who may answer which page, until when. Pure.

A token is ``BODY.MAC`` in base64url: the body names page, person and end, the MAC is HMAC-SHA256 over the body. It is
a secret: whoever has it may answer once as that person. Nothing stores it; it is made again when a page leaves.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

LONGEST = 2000
_SALT, _INFO = b"streamwatch", b"acknowledgement links, version 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a token says. Believe page and person only when it is ``genuine``."""

    page: str
    person: str
    until: datetime
    genuine: bool


def key_from(secret: str) -> bytes:
    """The key of the links out of a setting's text: HKDF-SHA256 (RFC 5869), so that the setting itself stays unused."""
    extracted = hmac.new(_SALT, secret.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, _INFO + b"\x01", hashlib.sha256).digest()


def sign(key: bytes, page: str, person: str, until: datetime) -> str:
    """The token for this page and person, good until ``until`` (aware). The same input gives the same token."""
    said = json.dumps([page, person, int(until.timestamp())], ensure_ascii=False, separators=(",", ":"))
    body = _encode(said.encode())
    return f"{body}.{_encode(_mac(key, body))}"


def read(key: bytes, token: str) -> Link | None:
    """What the token says, or None when it says nothing that can be read. A forged one is not ``genuine``."""
    body, _, mac = token.partition(".")
    if len(token) > LONGEST or not body:
        return None
    try:
        page, person, until = json.loads(_decode(body))
        genuine = hmac.compare_digest(_decode(mac), _mac(key, body))
        return Link(
            page=str(page), person=str(person), until=datetime.fromtimestamp(int(until), UTC), genuine=genuine
        )
    except (ValueError, TypeError, OverflowError, OSError, RecursionError, binascii.Error):
        return None


def _mac(key: bytes, body: str) -> bytes:
    return hmac.new(key, body.encode(), hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
