"""What is accepted from outside before anything is understood of it: sizes, depths, encodings."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NoReturn

import msgspec

BODY_LIMIT = 1024 * 1024  # bytes (rules: "From notification to alert")
DEPTH_LIMIT = 64

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_decoder = msgspec.json.Decoder()


class TooLarge(Exception):
    """The body is over its limit."""


class Gone(Exception):
    """The sender hung up before its request was complete."""


class Undecodable(ValueError):
    """The body is no JSON that both of us read alike; the text says why."""


async def read_body(receive: Receive, declared: bytes | None, limit: int = BODY_LIMIT) -> bytes:
    """The whole body. ``declared`` is the Content-Length header, which is not believed, only refused early.

    Raises TooLarge, or Gone when the sender hung up.
    """
    if declared is not None and declared.isdigit() and int(declared[:12]) > limit:
        raise TooLarge
    message = await receive()
    body: bytes = message.get("body", b"")
    more = bool(message.get("more_body"))
    if message["type"] == "http.disconnect":
        raise Gone
    if not more:
        if len(body) > limit:
            raise TooLarge
        return body
    parts, size = [body], len(body)
    while more:
        if size > limit:
            raise TooLarge
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part: bytes = message.get("body", b"")
        more = bool(message.get("more_body"))
        parts.append(part)
        size += len(part)
    if size > limit:
        raise TooLarge
    return b"".join(parts)


def decode(body: bytes) -> object:
    """The JSON value of a body: UTF-8, no NaN, nested at most 64 deep. Raises Undecodable."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        value: object = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = _decode_slowly(body)
    # No document can be deeper than it has brackets: most need no walk.
    if body.count(b"{") + body.count(b"[") > DEPTH_LIMIT and _too_deep(value):
        raise Undecodable(f"the JSON is nested more than {DEPTH_LIMIT} deep")
    return value


def _decode_slowly(body: bytes) -> object:
    """The standard library forgives half of a surrogate pair, which senders that cut texts produce."""
    try:
        value: object = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise Undecodable("the body is not UTF-8") from error
    except RecursionError as error:
        raise Undecodable(f"the JSON is nested more than {DEPTH_LIMIT} deep") from error
    except Undecodable:
        raise
    except ValueError as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Undecodable(f"the body is not JSON{place}") from error
    return value


def _refuse(word: str) -> NoReturn:
    raise Undecodable(f"{word} is no JSON number")


def _too_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(DEPTH_LIMIT + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, Mapping):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return False
        level = below
    return any(isinstance(item, Mapping | list) for item in level)
