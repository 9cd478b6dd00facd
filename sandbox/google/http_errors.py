"""A refusal as Google's HTTP services word it."""

from __future__ import annotations

from typing import Any

from sandbox.google.errors import Refused

STATUS = {
    "NOT_FOUND": (404, "notFound"),
    "INVALID_ARGUMENT": (400, "invalid"),
    "ALREADY_EXISTS": (409, "duplicate"),
    "ABORTED": (409, "aborted"),
    "OUT_OF_RANGE": (400, "outOfRange"),
    "CANCELLED": (499, "stopped"),
    "PERMISSION_DENIED": (403, "accessDenied"),
    "UNAUTHENTICATED": (401, "required"),
    "RESOURCE_EXHAUSTED": (403, "quotaExceeded"),
    "FAILED_PRECONDITION": (400, "failedPrecondition"),
    "UNIMPLEMENTED": (501, "notImplemented"),
    "UNAVAILABLE": (503, "backendError"),
    "INTERNAL": (500, "internalError"),
    "DEADLINE_EXCEEDED": (504, "timeout"),
}


def error_of(refused: Refused) -> dict[str, Any]:
    """The error inside a job's status and inside an answer's list of errors."""
    reason = STATUS[refused.code][1]
    if refused.message.startswith(("Syntax error", "Binder Error", "Catalog Error")):
        reason = "invalidQuery"
    if refused.message.startswith("Query exceeded limit for bytes billed"):
        reason = "bytesBilledLimitExceeded"
    return {"reason": reason, "message": refused.message}


def answer_of(refused: Refused) -> tuple[int, dict[str, Any]]:
    """HTTP status and body of the whole answer."""
    status = STATUS[refused.code][0]
    error = error_of(refused) | {"domain": "global"}
    body = {"code": status, "message": refused.message, "errors": [error], "status": refused.code}
    return status, {"error": body}
