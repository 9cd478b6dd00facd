"""Looks at what a pipeline needs to run: credentials, project, template, stores, permissions."""

from __future__ import annotations

from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.checks import Failed, Unknowable
from pipeline.errors import ConfigError
from pipeline.google.calls import once, reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_LAUNCH_S: Final = 30.0
_TABLES: Final = 1000


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
        clients.flex.launch_flex_template(request=request, **once(_LAUNCH_S))
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


def dataset(clients: Clients, pipeline: Pipeline, deadline_s: float) -> str:
    """The dataset and its tables, where BigQuery's client is installed."""
    with explained("BigQuery", "connecting"):
        try:
            client = clients.bigquery
        except ConfigError as error:
            raise Unknowable(str(error)) from error
    return tables(client, pipeline, deadline_s)


def tables(client: Any, pipeline: Pipeline, deadline_s: float) -> str:
    """The tables of the pipeline's dataset through a client of BigQuery; Missing without the dataset."""
    name = f"{pipeline.project}.{pipeline.dataset}"
    with explained("BigQuery", f"looking at dataset {name}"):
        client.get_dataset(name, timeout=deadline_s)
        found = [one.table_id for one in client.list_tables(name, max_results=_TABLES, timeout=deadline_s)]
    if not found:
        raise Failed("the dataset holds no table")
    return f"{len(found)} tables: {', '.join(sorted(found)[:8])}"


def bigtable(clients: Clients, pipeline: Pipeline) -> str:
    """The Bigtable instance and table, where Bigtable's client is installed."""
    if clients.settings.endpoint:
        raise Unknowable(f"there is no Bigtable at {clients.settings.endpoint}")
    try:
        from google.cloud import bigtable as client_of
    except ImportError:
        raise Unknowable("Bigtable's client is not installed here") from None
    with explained("Bigtable", f"looking at instance {pipeline.bigtable_instance}"):
        instance = client_of.Client(project=pipeline.project, admin=True).instance(pipeline.bigtable_instance)
        if not instance.exists():
            raise Failed(f"there is no instance {pipeline.bigtable_instance}")
        if pipeline.bigtable_table and not instance.table(pipeline.bigtable_table).exists():
            raise Failed(f"instance {pipeline.bigtable_instance} has no table {pipeline.bigtable_table}")
    return f"instance {pipeline.bigtable_instance}, table {pipeline.bigtable_table or 'not named'}"
