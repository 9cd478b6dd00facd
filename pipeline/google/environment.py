"""Looks at what a pipeline needs to run: credentials, template, topics, permissions on them."""

from __future__ import annotations

from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.checks import Failed, Unknowable
from pipeline.google.calls import once, reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.patience import at_most

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_LAUNCH_S: Final = 30.0


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


def template(clients: Clients, pipeline: Pipeline) -> str:
    """Lets Dataflow validate a launch of the template without launching anything."""
    from google.cloud import dataflow_v1beta3 as dataflow

    if not pipeline.template:
        raise Failed("pipelines.yaml names no template; nothing could be launched")
    parameter = dataflow.LaunchFlexTemplateParameter(
        # a name of its own: the living job's would be taken
        job_name=f"{pipeline.job_name}-check",
        container_spec_gcs_path=pipeline.template,
    )
    request = dataflow.LaunchFlexTemplateRequest(
        project_id=pipeline.project,
        location=pipeline.region,
        launch_parameter=parameter,
        validate_only=True,
    )
    with explained("Dataflow", f"validating a launch of {pipeline.template}"):
        clients.flex.launch_flex_template(request=request, **once(at_most(_LAUNCH_S)))
    return f"a launch of {pipeline.template} is valid"


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
