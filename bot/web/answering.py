"""One write for a whole answer: an extension of ASGI for answers that are known in full beforehand.

ASGI sends head and body one after the other, and uvicorn checks and writes each by itself, which is a fifth
of the processor time of an accepted notification. Reading, keep-alive, pipelining, limits and the graceful stop stay
uvicorn's. Where its inside does not look as expected, nothing is offered and applications send as ever.
"""

from __future__ import annotations

import inspect
from collections.abc import MutableMapping
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "streamwatch.answer"

_NEEDED = {"transport", "flow", "access_log", "default_headers", "message_event", "keep_alive", "on_response"}
AVAILABLE = set(inspect.signature(RequestResponseCycle.__init__).parameters) >= _NEEDED


class Protocol(HttpToolsProtocol):
    """uvicorn's own, which offers the extension in each request's scope."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if AVAILABLE:
            scope: MutableMapping[str, Any] = cycle.scope  # type: ignore[assignment]
            scope["extensions"] = {EXTENSION: partial(_answer, cycle)}
        super()._start_asgi_task(cycle, app)


def _answer(cycle: RequestResponseCycle, head: bytes, rest: bytes) -> bool:
    """Write status line (``head``), the server's own headers, then headers and body (``rest``).

    False, and nothing was written, where the answer needs more than that: send it the usual way.
    """
    usual = cycle.keep_alive and not (
        cycle.response_started
        or cycle.disconnected
        or cycle.waiting_for_100_continue
        or cycle.flow.write_paused
        or cycle.access_log
    )
    if not usual:
        return False
    cycle.response_started = cycle.response_complete = True
    own = [b"%b: %b\r\n" % header for header in cycle.default_headers]
    cycle.transport.write(b"".join((head, *own, rest)))
    cycle.message_event.set()
    cycle.on_response()
    return True
