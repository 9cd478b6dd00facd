"""Dataflow: jobs by name, launch, update, drain, cancel, worker range.  Times are aware UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from pipeline.catalogue import Pipeline
from pipeline.google.calls import once, reading
from pipeline.google.clients import Clients
from pipeline.google.errors import explained
from pipeline.jobs import Job, Workers

_MOST: Final = 400  # jobs of one name that are looked at; the newest come first
_LAUNCH_S: Final = 60.0


def jobs_of(clients: Clients, pipeline: Pipeline, deadline_s: float = 20.0) -> tuple[Job, ...]:
    """All jobs of the pipeline's name, newest first."""
    return _list(clients, pipeline, "ALL", pipeline.job_name, deadline_s)


def active_jobs(
    clients: Clients, pipeline: Pipeline, *, named: bool, deadline_s: float = 20.0
) -> tuple[Job, ...]:
    """The living jobs of the pipeline's project and region; ``named``: only those of its name."""
    found = _list(clients, pipeline, "ACTIVE", pipeline.job_name if named else "", deadline_s)
    return tuple(job for job in found if not job.ended)


def get_job(clients: Clients, pipeline: Pipeline, job_id: str, deadline_s: float = 20.0) -> Job:
    """One job as it is now."""
    from google.cloud import dataflow_v1beta3 as dataflow

    request = dataflow.GetJobRequest(project_id=pipeline.project, job_id=job_id, location=pipeline.region)
    with explained("Dataflow", f"reading job {job_id}"):
        return _job(clients.jobs.get_job(request=request, **reading(deadline_s)))


def launch(
    clients: Clients,
    pipeline: Pipeline,
    *,
    update: bool,
    labels: dict[str, str],
    parameters: Mapping[str, str] | None = None,
) -> Job:
    """Launches the flex template under the pipeline's fixed name, once, without any retry.

    It returns before the pipeline exists (QUEUED); wait for RUNNING.  ``update`` replaces the
    living job of that name compatibly.
    """
    request = _launch_request(pipeline, update=update, labels=labels, parameters=parameters or {})
    with explained("Dataflow", f"launching {pipeline.job_name}"):
        return _job(clients.flex.launch_flex_template(request=request, **once(_LAUNCH_S)).job)


def check_launch(clients: Clients, pipeline: Pipeline, parameters: Mapping[str, str]) -> None:
    """Lets Dataflow look at a launch without doing it; PipelineError with its reason when it refuses."""
    request = _launch_request(pipeline, update=False, labels={}, parameters=parameters)
    request.validate_only = True
    with explained("Dataflow", f"checking a launch of {pipeline.job_name}"):
        clients.flex.launch_flex_template(request=request, **reading(_LAUNCH_S))


def _launch_request(
    pipeline: Pipeline, *, update: bool, labels: dict[str, str], parameters: Mapping[str, str]
) -> Any:
    from google.cloud import dataflow_v1beta3 as dataflow

    parameter = dataflow.LaunchFlexTemplateParameter(
        job_name=pipeline.job_name,
        container_spec_gcs_path=pipeline.template,
        parameters=dict(parameters),
        update=update,
        environment=dataflow.FlexTemplateRuntimeEnvironment(additional_user_labels=labels),
    )
    return dataflow.LaunchFlexTemplateRequest(
        project_id=pipeline.project, location=pipeline.region, launch_parameter=parameter
    )


def drain(clients: Clients, pipeline: Pipeline, job_id: str) -> Job:
    """Asks a running job to drain; it goes to DRAINING first."""
    return _stop(clients, pipeline, job_id, "JOB_STATE_DRAINED", "draining")


def cancel(clients: Clients, pipeline: Pipeline, job_id: str) -> Job:
    """Asks a living job to cancel; it goes to CANCELLING first, and what it holds is dropped."""
    return _stop(clients, pipeline, job_id, "JOB_STATE_CANCELLED", "cancelling")


def _stop(clients: Clients, pipeline: Pipeline, job_id: str, state: str, doing: str) -> Job:
    from google.cloud import dataflow_v1beta3 as dataflow

    request = dataflow.UpdateJobRequest(
        project_id=pipeline.project,
        job_id=job_id,
        location=pipeline.region,
        job=dataflow.Job(requested_state=dataflow.JobState[state]),
    )
    with explained("Dataflow", f"{doing} job {job_id}"):
        return _job(clients.jobs.update_job(request=request, **once(_LAUNCH_S)))


def workers_of(clients: Clients, pipeline: Pipeline, job_id: str, deadline_s: float = 20.0) -> Workers:
    """How many workers a job may have, and of which machine; 0 or "" is what Dataflow does not tell."""
    from google.cloud import dataflow_v1beta3 as dataflow

    request = dataflow.GetJobRequest(
        project_id=pipeline.project,
        job_id=job_id,
        location=pipeline.region,
        view=dataflow.JobView.JOB_VIEW_ALL,
    )
    with explained("Dataflow", f"reading the workers of job {job_id}"):
        raw = clients.jobs.get_job(request=request, **reading(deadline_s))
    pools = list(raw.environment.worker_pools)
    pool = next((one for one in pools if one.kind == "harness"), pools[0] if pools else None)
    updatable = raw.runtime_updatable_params
    launched = pool.autoscaling_settings.max_num_workers if pool else 0
    return Workers(
        least=updatable.min_num_workers,
        most=updatable.max_num_workers or launched,
        machine=pool.machine_type if pool else "",
    )


def worker_account(clients: Clients, pipeline: Pipeline, deadline_s: float = 20.0) -> str:
    """The account that the workers of the living job run as, or of the last one that did; empty when there is none
    or Dataflow does not tell."""
    from google.cloud import dataflow_v1beta3 as dataflow

    living = active_jobs(clients, pipeline, named=True, deadline_s=deadline_s)
    living = living or jobs_of(clients, pipeline, deadline_s)
    if not living:
        return ""
    request = dataflow.GetJobRequest(
        project_id=pipeline.project,
        job_id=living[0].id,
        location=pipeline.region,
        view=dataflow.JobView.JOB_VIEW_ALL,
    )
    with explained("Dataflow", f"reading the environment of job {living[0].id}"):
        raw = clients.jobs.get_job(request=request, **reading(deadline_s))
    return str(raw.environment.service_account_email)


def set_workers(
    clients: Clients, pipeline: Pipeline, job_id: str, least: int | None, most: int | None
) -> None:
    """Changes the worker range of a running job; None leaves an end of it as it is."""
    from google.cloud import dataflow_v1beta3 as dataflow
    from google.protobuf.field_mask_pb2 import FieldMask

    wanted = {"min_num_workers": least, "max_num_workers": most}
    given = {name: value for name, value in wanted.items() if value is not None}
    request = dataflow.UpdateJobRequest(
        project_id=pipeline.project,
        job_id=job_id,
        location=pipeline.region,
        job=dataflow.Job(runtime_updatable_params=dataflow.RuntimeUpdatableParams(given)),
        update_mask=FieldMask(paths=[f"runtime_updatable_params.{name}" for name in given]),
    )
    with explained("Dataflow", f"changing the worker range of job {job_id}"):
        clients.jobs.update_job(request=request, **once(_LAUNCH_S))


def job_messages(
    clients: Clients, pipeline: Pipeline, job_id: str, deadline_s: float = 20.0
) -> tuple[str, ...]:
    """The service's own error messages about a job, newest last; free of Logging quota."""
    from google.cloud import dataflow_v1beta3 as dataflow

    request = dataflow.ListJobMessagesRequest(
        project_id=pipeline.project,
        job_id=job_id,
        location=pipeline.region,
        minimum_importance=dataflow.JobMessageImportance.JOB_MESSAGE_ERROR,
        page_size=50,
    )
    with explained("Dataflow", f"reading messages of job {job_id}"):
        pager = clients.messages.list_job_messages(request=request, **reading(deadline_s))
        return tuple(message.message_text for message in islice(pager, 100))


def _list(clients: Clients, pipeline: Pipeline, which: str, name: str, deadline_s: float) -> tuple[Job, ...]:
    from google.cloud import dataflow_v1beta3 as dataflow

    request = dataflow.ListJobsRequest(
        project_id=pipeline.project,
        location=pipeline.region,
        filter=dataflow.ListJobsRequest.Filter[which],
        page_size=100,
    )
    if name:
        request.name = name
    with explained("Dataflow", f"listing jobs in {pipeline.region}"):
        pager = clients.jobs.list_jobs(request=request, **reading(deadline_s))
        found = [_job(raw) for raw in islice(pager, _MOST)]
    oldest = datetime.min.replace(tzinfo=UTC)
    found.sort(key=lambda job: job.created or oldest, reverse=True)
    return tuple(job for job in found if not name or job.name == name)


def _job(raw: Any) -> Job:
    state = raw.current_state.name.removeprefix("JOB_STATE_")
    return Job(
        id=raw.id,
        name=raw.name,
        state=state,
        since=_time(raw.current_state_time),
        created=_time(raw.create_time),
        streaming=raw.type_.name != "JOB_TYPE_BATCH",
        replaced_by=raw.replaced_by_job_id,
        labels=tuple(sorted(raw.labels.items())),
        sdk=raw.job_metadata.sdk_version.version,
    )


def _time(raw: Any) -> datetime | None:
    """proto-plus gives an aware datetime of its own type, or None when unset."""
    if raw is None or raw.timestamp() == 0:
        return None
    return datetime.fromtimestamp(raw.timestamp(), UTC)
