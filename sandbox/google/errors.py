"""The one error of the world: a refusal with the status code that Google would answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Code = Literal[
    "CANCELLED",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "UNAUTHENTICATED",
]


class Refused(Exception):
    """A call that Google would refuse: `code` is the gRPC status, `message` what the caller reads.

    `reason` and `metadata` make a google.rpc.ErrorInfo of it, where a client looks for one.
    """

    def __init__(
        self, code: Code, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Code = code
        self.message, self.reason, self.metadata = message, reason, dict(metadata or {})


def not_found(what: str) -> Refused:
    """The refusal for a resource (full name) that does not exist."""
    return Refused("NOT_FOUND", f"Resource not found (resource={what}).")


def invalid(message: str) -> Refused:
    """The refusal for an argument that can never be right."""
    return Refused("INVALID_ARGUMENT", message)
