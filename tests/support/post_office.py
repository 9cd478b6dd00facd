"""A mail server (aiosmtpd) and a hook's receiver in a process of their own, which keep what they get and fail on order.

``python -m tests.support.post_office SMTP_PORT HTTP_PORT [CERTIFICATE]`` serves until it is ended; with a certificate
(PEM, key included) mails need STARTTLS and the log-in pages / secret. GET /mails and /calls say what
came; POST /control {"mail": [...], "hook": [...]} orders what becomes of the next ones: a number is the answer
(451, 550; 429, 503), "lost" keeps it and breaks the connection before the answer, "hang" keeps it and never answers.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import sys
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Json = dict[str, Any]


@dataclass(slots=True)
class Kept:
    """What came, and what is ordered for what comes."""

    mails: list[Json] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    orders: dict[str, list[Any]] = field(default_factory=lambda: {"mail": [], "hook": []})

    def order(self, kind: str) -> Any:
        """The next order of this kind, or None."""
        return self.orders[kind].pop(0) if self.orders[kind] else None


class _Handler:
    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        order = self._kept.order("mail")
        if isinstance(order, int):
            return f"{order} ordered"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
        body = message.get_body() if isinstance(message, EmailMessage) else None
        text = body.get_content() if isinstance(body, EmailMessage) else ""
        headers = {name: str(value) for name, value in message.items()}
        self._kept.mails.append({"to": envelope.rcpt_tos, "headers": headers, "text": text})
        if order == "lost" and server.transport is not None:
            server.transport.abort()
        if order == "hang":
            await asyncio.sleep(60)
        return "250 kept"


def _app(kept: Kept) -> web.Application:
    async def hook(request: web.Request) -> web.Response:
        body = await request.json()
        order = kept.order("hook")
        status = order if isinstance(order, int) else 200
        kept.calls.append(
            {"path": request.path, "headers": dict(request.headers), "body": body, "answered": status}
        )
        if order == "lost" and request.transport is not None:
            request.transport.close()
        if order == "hang":
            await asyncio.sleep(60)
        headers = {"Retry-After": "1"} if status in (429, 503) else {}
        return web.Response(status=status, headers=headers)

    async def control(request: web.Request) -> web.Response:
        for kind, orders in (await request.json()).items():
            kept.orders[kind] = list(orders)
        return web.json_response({"ok": True})

    async def mails(_: web.Request) -> web.Response:
        return web.json_response(kept.mails)

    async def calls(_: web.Request) -> web.Response:
        return web.json_response(kept.calls)

    app = web.Application()
    app.add_routes([web.post("/control", control), web.get("/mails", mails), web.get("/calls", calls)])
    app.add_routes([web.post("/hook/{who:.*}", hook)])
    return app


def _may(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
    known = isinstance(given, LoginPassword) and (given.login, given.password) == (b"pages", b"secret")
    return AuthResult(success=known, handled=known)


def _smtp(kept: Kept, certificate: str) -> SMTP:
    if not certificate:
        return SMTP(_Handler(kept), hostname="post-office")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return SMTP(
        _Handler(kept), hostname="post-office", tls_context=context, require_starttls=True,
        auth_required=True, authenticator=_may,
    )  # fmt: skip


async def _serve(smtp_port: int, http_port: int, certificate: str) -> None:
    kept = Kept()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: _smtp(kept, certificate), "127.0.0.1", smtp_port)
    runner = web.AppRunner(_app(kept), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", http_port).start()
    await asyncio.Event().wait()


def main() -> None:
    """Serve on the ports that the command line names."""
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), (*sys.argv[3:], "")[0]))


if __name__ == "__main__":
    main()
