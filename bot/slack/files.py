"""Files: three calls of which only the last shows anything, so a doubt before it costs nothing.

A file carries no metadata. It is found again by its name and title since the row's first try; a row that
has metadata is finished by a message that carries it.
"""

from __future__ import annotations

from typing import Any

from bot.core.delivery import Leased
from bot.core.text import cut, plain
from bot.slack.api import Api
from bot.slack.lookup import messages
from bot.slack.outcome import Failure

TITLE_MAX = 200
# Shorter than for messages: an older file of the same name must not pass for this one.
SKEW_S = 2.0


async def upload(api: Api, row: Leased, channel: str, *, thread: str = "") -> str:
    """Share the row's file in the channel unless an earlier try did; its id. Raises Failure."""
    if row.ambiguous or row.attempts > 1:
        there = await find_file(api, row, channel)
        if there:
            return there
    data = row.outbound.data
    content = str(data["content"]).encode()
    name = str(data["filename"])
    ticket = await api.call("files.getUploadURLExternal", filename=name, length=max(len(content), 1))
    await api.put_file(str(ticket["upload_url"]), content or b"\n")
    shown: dict[str, Any] = {
        "files": [{"id": ticket["file_id"], "title": _title(row)}],
        "channel_id": channel,
    }
    if comment := plain(str(data.get("comment", "")), 1500):
        shown["initial_comment"] = comment
    if thread:
        shown["thread_ts"] = thread
    await api.call("files.completeUploadExternal", once=True, **shown)
    return str(ticket["file_id"])


async def find_file(api: Api, row: Leased, channel: str) -> str:
    """The id of the row's file if it is in the channel since the first try, else "". Raises Failure and
    LookupFailed."""
    name, title = str(row.outbound.data["filename"]), _title(row)
    since = row.first_try_at - SKEW_S
    try:
        async for message in messages(api, channel, since):
            for shared in message.get("files") or ():
                if shared.get("name") == name and shared.get("title") == title:
                    return str(shared.get("id", ""))
    except Failure as failure:
        if failure.code == "channel_not_found":
            return ""
        raise
    return ""


def _title(row: Leased) -> str:
    return cut(str(row.outbound.data.get("title") or row.outbound.data["filename"]), TITLE_MAX)
