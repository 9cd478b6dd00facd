"""Who may see the pages: holders of the token, or, where none is set, people on this machine.

A page shows an incident's whole timeline, so the default is no. A token in an address is taken once and
becomes a cookie, because addresses end in histories and logs.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "streamwatch_pages"
COOKIE_LIVES_S = 12 * 3600
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "x-appengine-user-ip")


@dataclass(frozen=True, slots=True)
class Welcome:
    """Yes. ``by_address``: the token came in the address, and a cookie takes its place."""

    by_address: bool = False


@dataclass(frozen=True, slots=True)
class Unwelcome:
    """No: the HTTP status, the reason, and what to do."""

    status: int
    error: str
    hint: str


def judge(request: Request, token: str | None) -> Welcome | Unwelcome:
    """Whether this request may see the pages; an empty token counts as none."""
    if not token:
        return _loopback(request)
    if _bearer(request, token):
        return Welcome()
    given = request.query_params.get("token")
    if given is not None and _same(given, token):
        return Welcome(by_address=True)
    if _same(request.cookies.get(COOKIE, ""), _cookie(token)):
        return Welcome()
    hint = "Send the header 'Authorization: Bearer WEB_TOKEN', or open the page once with ?token=WEB_TOKEN."
    return Unwelcome(401, "the pages need a token", hint)


def remember(request: Request, response: Response, token: str) -> None:
    """Set the cookie that stands for the token; it is derived from it and does not give it away."""
    response.set_cookie(
        COOKIE,
        _cookie(token),
        max_age=COOKIE_LIVES_S,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https" or _outside(request) == "https",
    )


def _outside(request: Request) -> str:
    """What the first proxy was asked by, as it says. Nothing is let in for it: the cookie is only held tighter."""
    return request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()


def _loopback(request: Request) -> Welcome | Unwelcome:
    """No token: only who sits on this machine. A proxy's client is not, nor is a foreign name that leads here."""
    proxied = any(name in request.headers for name in _FORWARDED)
    near = request.client is not None and _is_loopback(request.client.host)
    if near and not proxied and _is_loopback(request.url.hostname or ""):
        return Welcome()
    return Unwelcome(
        403,
        "without WEB_TOKEN the pages are shown on this machine only",
        "Set WEB_TOKEN and send it as a bearer token, or open http://127.0.0.1 on the bot's own machine.",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _bearer(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and _same(given.strip(), token)


def _cookie(token: str) -> str:
    return hmac.new(token.encode(), b"streamwatch pages", hashlib.sha256).hexdigest()


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode("utf-8", "replace"))
