"""Slack's refusals: one exception that carries the error's name, and the names every method may answer."""

from __future__ import annotations

from typing import Any

# From Slack's list of errors common to all methods, as far as this sandbox can produce them.
COMMON = frozenset(
    {
        "ratelimited",
        "unknown_method",
        "not_authed",
        "missing_scope",
        "not_allowed_token_type",
        "fatal_error",
        "invalid_post_type",
        "invalid_form_data",
        # The three below are answered by Slack everywhere although its per-method lists name them rarely.
        "invalid_auth",
        "invalid_arguments",
        "internal_error",
        "invalid_json",
    }
)


class SlackError(Exception):
    """An answer `{"ok": false, "error": name, ...extra}` with HTTP status 200."""

    def __init__(self, name: str, **extra: Any) -> None:
        super().__init__(name)
        self.name = name
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"ok": False, "error": self.name, **self.extra}


def invalid_arguments(*messages: str) -> SlackError:
    """The refusal of a call whose arguments are malformed; messages like `missing required field: user`."""
    lines = [f"[ERROR] {message}" for message in messages]
    return SlackError("invalid_arguments", response_metadata={"messages": lines})


class Refused(Exception):
    """A refusal of the control interface: an HTTP status of 4xx and a reason for a person."""

    def __init__(self, reason: str, status: int = 400, **extra: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"error": self.reason, **self.extra}
