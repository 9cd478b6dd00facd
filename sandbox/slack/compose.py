"""What Slack's composer makes of the text that a person types."""

from __future__ import annotations

import re

from sandbox.slack.state import Workspace

_SPECIAL = re.compile(r"<(?:[@#][A-Z][A-Z0-9]*(?:\|[^<>]*)?|![^<>]+|(?:https?|mailto):[^<>]+)>")
_NAME = re.compile(r"(?<![\w<])([@#])([a-z0-9][a-z0-9._-]*)", re.IGNORECASE)


def compose(workspace: Workspace, text: str, *, labelled: bool) -> str:
    """What Slack's composer makes of typed text: `&<>` escaped, @name and #channel turned into links.

    `labelled` writes <@U|name> and <#C|name> as in a command with should_escape; private channels stay
    without their name. Text that already holds such links is left as it is.
    """

    def link(found: re.Match[str]) -> str:
        sign, name = found.group(1), found.group(2).rstrip(".")
        tail = found.group(2)[len(name) :]
        if sign == "@" and name.lower() in ("here", "channel", "everyone"):
            return f"<!{name.lower()}>{tail}"
        if sign == "@" and (user := workspace.find_user(name)) is not None:
            return f"<@{user.id}|{user.name}>{tail}" if labelled else f"<@{user.id}>{tail}"
        channel = workspace.find_channel(name) if sign == "#" else None
        if channel is None or channel.is_im:
            return found.group(0)
        return f"<#{channel.id}|{'' if channel.is_private else channel.name}>{tail}"

    parts: list[str] = []
    at = 0
    for found in _SPECIAL.finditer(text):
        parts += [_NAME.sub(link, _escape(text[at : found.start()])), found.group(0)]
        at = found.end()
    return "".join([*parts, _NAME.sub(link, _escape(text[at:]))])


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
