"""Looks at what a pipeline needs to run: credentials, topics, permissions on them."""

from __future__ import annotations

from typing import Any, Final

from pipeline.checks import Failed, Unknowable
from pipeline.google.calls import reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


def credentials(clients: Clients) -> str:
    """Whose credentials are in use; Failed when there are none."""
    if clients.settings.endpoint:
        return f"none are needed at {clients.settings.endpoint}"
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        found, project = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError as error:
        raise Failed(str(error).splitlines()[0]) from error
    account = getattr(found, "service_account_email", "") or getattr(found, "account", "") or "a user's"
    return f"{account}, project {project or 'not set'}"


def topic(clients: Clients, path: str, deadline_s: float) -> str:
    """Looks at one topic by its full name."""
    with explained("Pub/Sub", f"looking at topic {path.rpartition('/')[2]}"):
        clients.publisher.get_topic(request={"topic": path}, **reading(deadline_s))
    return "exists"


def granted(client: Any, path: str, permissions: list[str], deadline_s: float) -> str:
    """Whether the account in use has these permissions on a topic or subscription."""
    from google.api_core import exceptions as api

    try:
        with explained("Pub/Sub", f"asking for permissions on {path.rpartition('/')[2]}"):
            try:
                answer = client.test_iam_permissions(
                    request={"resource": path, "permissions": permissions}, **reading(deadline_s)
                )
            except api.MethodNotImplemented as error:
                raise Unknowable("permissions cannot be asked for at this address") from error
    except Unknowable:
        raise
    missing = [one for one in permissions if one not in set(answer.permissions)]
    if missing:
        raise Failed(f"the account in use lacks {', '.join(missing)}")
    return ", ".join(permissions)
