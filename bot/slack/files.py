"""Files: three calls of which only the last shows anything.

A file carries no metadata, and its message appears a little after the answer. So a doubt about the last call
is settled by making it again: an upload can be completed once only. After a restart the file is looked for
by its name and title since the row's first try. A row that has metadata is finished by a message that
carries it.

A row with a chart has its picture drawn when it is sent; where that cannot be done its words go out alone.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from bot.core.delivery import Ambiguous, Leased
from bot.core.text import cut
from bot.slack.api import Api
from bot.slack.lookup import messages
from bot.slack.outcome import Failure
from bot.slack.words import prose

TITLE_MAX = 200
ALT_MAX = 1000  # what a picture shows, for whoever does not see it
# Shorter than for messages: an older file of the same name must not pass for this one.
SKEW_S = 2.0
REMEMBERED = 200


class Uploads:
    """Shares the files of rows; remembers the uploads of this process that may not be complete."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._begun: OrderedDict[str, str] = OrderedDict()
        self._doubtful: set[str] = set()

    def begun(self, row: Leased) -> bool:
        """Whether the file's bytes are there already, so that it need not be drawn again."""
        return row.outbound.key in self._begun

    async def share(self, row: Leased, channel: str, content: bytes, *, thread: str = "") -> str:
        """Share the row's file in the channel unless an earlier try did; its id. Raises Failure."""
        key = row.outbound.key
        file_id = self._begun.get(key)
        if file_id is None:
            if row.ambiguous or row.attempts > 1:
                there = await find_file(self._api, row, channel)
                if there:
                    return there
            file_id = await self._put(row, content or b"\n")
            self._begun[key] = file_id
            while len(self._begun) > REMEMBERED:
                self._begun.popitem(last=False)
        await self._complete(row, file_id, channel, thread)
        return file_id

    async def _put(self, row: Leased, content: bytes) -> str:
        name = str(row.outbound.data["filename"])
        wanted: dict[str, Any] = {"filename": name, "length": len(content)}
        if alt := str(row.outbound.data.get("alt") or ""):
            wanted["alt_txt"] = cut(alt, ALT_MAX)
        ticket = await self._api.call("files.getUploadURLExternal", **wanted)
        await self._api.put_file(str(ticket["upload_url"]), content)
        return str(ticket["file_id"])

    async def _complete(self, row: Leased, file_id: str, channel: str, thread: str) -> None:
        shown: dict[str, Any] = {"files": [{"id": file_id, "title": _title(row)}], "channel_id": channel}
        if comment := prose(str(row.outbound.data.get("comment", "")), 1500):
            shown["initial_comment"] = comment
        if thread:
            shown["thread_ts"] = thread
        try:
            await self._api.call("files.completeUploadExternal", once=True, **shown)
        except Failure as failure:
            # Completed before: by the try of which nobody knew whether it was accepted.
            if failure.code == "file_not_found" and file_id in self._doubtful:
                self._doubtful.discard(file_id)
                return
            if isinstance(failure.outcome, Ambiguous):
                self._doubtful.add(file_id)
            raise


async def find_file(api: Api, row: Leased, channel: str) -> str:
    """The id of the row's file if it is in the channel since the first try, else "". Raises Failure and
    LookupFailed."""
    name, title = str(row.outbound.data["filename"]), _title(row)
    since = api.first_try(row) - SKEW_S
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
