"""Does Slack know these people and user groups? Asked once, from the terminal, with little patience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from bot.core.groups import Group
from bot.slack.api import Api
from bot.slack.app import make_client
from bot.slack.groups import UserGroups
from bot.slack.outcome import TROUBLE, Failure
from bot.slack.pace import Pace
from bot.slack.people import UNKNOWN_USER, Directory
from bot.slack.words import USER_ID

PATIENCE_S = 8.0


def unknown(token: str, api_url: str, refs: Sequence[str]) -> tuple[list[str], str]:
    """(the ids, handles and addresses that nobody active in the workspace has, why not all could be asked)."""
    return asyncio.run(_unknown(token, api_url, refs))


def groups(token: str, api_url: str, refs: Sequence[str], now: datetime) -> tuple[dict[str, Group], str]:
    """(the user groups that Slack told of, why not of all)."""
    return asyncio.run(_groups(token, api_url, refs, now))


async def _groups(
    token: str, api_url: str, refs: Sequence[str], now: datetime
) -> tuple[dict[str, Group], str]:
    api = Api(make_client(token, api_url), Pace(time.monotonic))
    await api.open()
    try:
        return await UserGroups(api, time.monotonic).read(refs, now, PATIENCE_S)
    finally:
        await api.close()


async def _unknown(token: str, api_url: str, refs: Sequence[str]) -> tuple[list[str], str]:
    strangers: list[str] = []
    api = Api(make_client(token, api_url), Pace(time.monotonic))
    directory = Directory(api, time.monotonic)
    await api.open()
    try:
        async with asyncio.timeout(PATIENCE_S):
            for ref in refs:
                if not await _known(api, directory, ref):
                    strangers.append(ref)
    except Failure as failure:
        return strangers, failure.code
    except (TimeoutError, *TROUBLE) as error:
        return strangers, str(error) or "it does not answer in time"
    finally:
        await api.close()
    return strangers, ""


async def _known(api: Api, directory: Directory, ref: str) -> bool:
    found = await directory.find(ref)
    if found is None or not USER_ID.fullmatch(found):
        return False
    try:
        answer = await api.call("users.info", user=found)
    except Failure as failure:
        if failure.code in {*UNKNOWN_USER, "user_not_visible"}:
            return False
        raise
    return not (answer.get("user") or {}).get("deleted")
