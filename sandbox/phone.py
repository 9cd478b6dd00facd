"""The on-call phone: takes calls of a hook and mails by SMTP, and shows them, so that a page can be seen to wake.

POST /phone/hook takes any JSON; the SMTP server listens on a free loopback port, takes every mail and sends none on.
GET /phone is for people, GET /sim/phone for scripts: `{smtp_port, items: [{at, kind, person, text, link}]}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import html
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from email.message import EmailMessage

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.clock import Clock

MOST = 200
LARGEST = 1 << 20
_LINK = re.compile(r"https?://\S+/ack/\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One call or mail; `link` answers it, "" where it brought none."""

    at: str
    kind: str
    person: str
    text: str
    link: str


class Phone:
    """What came, the newest first, and the mail server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._server: asyncio.Server | None = None
        self.items: deque[Item] = deque(maxlen=MOST)
        self.smtp_port = 0

    async def open(self) -> None:
        """Begin to take mails."""
        self._server = await asyncio.start_server(self._session, "127.0.0.1", 0, limit=LARGEST)
        self.smtp_port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()

    def call(self, body: Mapping[str, object]) -> None:
        """A call of the hook."""
        kind = "resolve" if body.get("event") == "resolve" else "call"
        text = str(body.get("summary") or "")
        self._put(kind, str(body.get("person") or "the team"), text, str(body.get("ack_url") or ""))

    def mail(self, to: str, raw: bytes) -> None:
        """A mail, as it came."""
        message = email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.default)
        part = message.get_body(("plain",)) if isinstance(message, EmailMessage) else None
        text = str(part.get_content()) if isinstance(part, EmailMessage) else ""
        found = _LINK.search(text)
        self._put("mail", to, f"{message['Subject'] or ''}\n\n{text}", found[0] if found else "")

    def _put(self, kind: str, person: str, text: str, link: str) -> None:
        at = f"{self._clock.now():%Y-%m-%d %H:%M:%S} UTC"
        safe = link if link.startswith(("http://", "https://")) else ""
        self.items.appendleft(Item(at=at, kind=kind, person=person, text=text[:5000], link=safe))

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Just enough of RFC 5321 for a client that is polite."""
        to = ""
        writer.write(b"220 sandbox\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            if word == b"RCPT":
                to = line.decode(errors="replace").partition(":")[2].strip().strip("<>")
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                raw = await reader.readuntil(b"\r\n.\r\n")
                self.mail(to, raw[:-5].replace(b"\r\n..", b"\r\n.").replace(b"\r\n", b"\n"))
            known = word in (b"EHLO", b"HELO", b"MAIL", b"RCPT", b"DATA", b"RSET", b"NOOP")
            writer.write(b"250 ok\r\n" if known else b"502 not here\r\n")
            await writer.drain()


async def _hook(request: Request) -> Response:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return JSONResponse({"error": "the body is no JSON object"}, status_code=400)
    request.app.state.phone.call(body)
    return JSONResponse({"status": "rang"})


async def _items(request: Request) -> Response:
    phone: Phone = request.app.state.phone
    return JSONResponse({"smtp_port": phone.smtp_port, "items": [asdict(item) for item in phone.items]})


async def _page(request: Request) -> Response:
    phone: Phone = request.app.state.phone
    shown = "".join(_shown(item) for item in phone.items) or "<p>Nobody was called yet.</p>"
    return HTMLResponse(_FRAME.replace("{items}", shown))


_WORDS = {"call": "The phone rings for", "mail": "A mail to", "resolve": "All clear for"}


def _shown(item: Item) -> str:
    link = f'<p><a href="{html.escape(item.link)}">Answer it</a></p>' if item.link else ""
    return (
        f"<article><h2>{_WORDS[item.kind]} {html.escape(item.person)}</h2><p class=at>{item.at}</p>"
        f"<pre>{html.escape(item.text)}</pre>{link}</article>"
    )


_FRAME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>The on-call phone</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:45rem;margin:0 auto;padding:1rem}
article{border:1px solid #8888;border-radius:6px;padding:.3rem 1rem;margin:.7rem 0}
h2{font-size:1.05rem;margin:.4rem 0 0}.at{margin:0;opacity:.75;font-size:.875rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:.4rem 0}
</style></head><body><main><h1>The on-call phone</h1>
<p>Calls of the hook and mails, as they wake people; the newest first. <a href="/">Back to Slack</a></p>
{items}</main></body></html>"""

routes = (
    Route("/phone/hook", _hook, methods=["POST"]),
    Route("/phone", _page, methods=["GET"]),
    Route("/sim/phone", _items, methods=["GET"]),
)
