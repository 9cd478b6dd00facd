"""Dataflow: jobs, their metrics and messages, flex template launches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf.struct_pb2 import Value

from sandbox.google import jobs as lifecycle
from sandbox.google import stage
from sandbox.google.errors import invalid, not_found
from sandbox.google.iam import worker_account
from sandbox.google.jobs import Job
from sandbox.google.metrics import JobView
from sandbox.google.services.base import Method, Service, from_timestamp, page, pb, timestamp
from sandbox.google.world import World

PACKAGE = "google.dataflow.v1beta3"
IMPORTANCE = {"DEBUG": 1, "INFO": 5, "WARNING": 3, "ERROR": 4}
# From most to least said: debug, detailed, basic, warning, error.
RANKED = (1, 2, 5, 3, 4)
KEPT_S = 30 * 86_400.0
# What the pipeline's template cannot do without.
_REQUIRED = ("click_subscription", "transaction_subscription", "stock_subscription", "dead_letter_topic")
NORMAL_TOTALS = ("TotalVcpuTime", "TotalMemoryUsage", "TotalPdUsage", "TotalStreamingDataProcessed")


def services(world: World) -> list[Service]:
    """The four Dataflow services on that world."""
    types = dataflow.types
    return [
        Service(
            f"{PACKAGE}.JobsV1Beta3",
            {
                "ListJobs": Method(types.ListJobsRequest, types.ListJobsResponse, lambda r: _list(world, r)),
                "AggregatedListJobs": Method(
                    types.ListJobsRequest, types.ListJobsResponse, lambda r: _list(world, r, everywhere=True)
                ),
                "GetJob": Method(types.GetJobRequest, types.Job, lambda r: _get(world, r)),
                "UpdateJob": Method(types.UpdateJobRequest, types.Job, lambda r: _update(world, r)),
            },
        ),
        Service(
            f"{PACKAGE}.MetricsV1Beta3",
            {
                "GetJobMetrics": Method(
                    types.GetJobMetricsRequest, types.JobMetrics, lambda r: _metrics(world, r)
                )
            },
        ),
        Service(
            f"{PACKAGE}.MessagesV1Beta3",
            {
                "ListJobMessages": Method(
                    types.ListJobMessagesRequest, types.ListJobMessagesResponse, lambda r: _messages(world, r)
                )
            },
        ),
        Service(
            f"{PACKAGE}.FlexTemplatesService",
            {
                "LaunchFlexTemplate": Method(
                    types.LaunchFlexTemplateRequest,
                    types.LaunchFlexTemplateResponse,
                    lambda r: _launch(world, r),
                )
            },
        ),
    ]


def _list(world: World, request: Any, *, everywhere: bool = False) -> Any:
    wanted = request.filter.name
    with world.turn() as now:
        found = [
            job
            for job in world.jobs()
            if job.project == request.project_id
            and (everywhere or job.region == (request.location or "us-central1"))
            and job.state_at(now) is not None
            and (not request.name or job.name == request.name)
            and (wanted not in ("ACTIVE", "TERMINATED") or job.active_at(now) == (wanted == "ACTIVE"))
            and (job.active_at(now) or now - job.since(now) < KEPT_S)
        ]
        found.sort(key=lambda job: (job.created, job.id), reverse=True)
        shown, token = page(found, request.page_size, request.page_token, default=1000, maximum=1000)
        return dataflow.types.ListJobsResponse(
            jobs=[_proto(job, now) for job in shown], next_page_token=token
        )


def _get(world: World, request: Any) -> Any:
    with world.turn() as now:
        job = world.job(request.job_id, request.location or "us-central1", request.project_id)
        return _proto(job, now, full=request.view.name != "JOB_VIEW_SUMMARY")


def _update(world: World, request: Any) -> Any:
    paths = [path.removeprefix("runtime_updatable_params.") for path in request.update_mask.paths]
    if paths:
        return _update_workers(world, request, paths)
    requested = request.job.requested_state.name.removeprefix("JOB_STATE_")
    if requested == "UNKNOWN":
        raise invalid("The job update needs a requested_state.")
    with world.turn(change=True) as now:
        job = world.job(request.job_id, request.location or "us-central1", request.project_id)
        before = job.state_at(now)
        lifecycle.request_stop(job, requested, now)
        if job.state_at(now) != before:
            stage.tell_transition(world.flows[job.pipeline], job, now)
        return _proto(job, now)


def _update_workers(world: World, request: Any, paths: list[str]) -> Any:
    for path in paths:
        if path not in ("min_num_workers", "max_num_workers"):
            raise invalid(f"Invalid update_mask: {path!r} cannot be changed while the job runs.")
    given = {path: getattr(request.job.runtime_updatable_params, path) for path in paths}
    with world.turn(change=True) as now:
        job = world.job(request.job_id, request.location or "us-central1", request.project_id)
        lifecycle.set_workers(job, given.get("min_num_workers"), given.get("max_num_workers"), now)
        return _proto(job, now)


def _launch(world: World, request: Any) -> Any:
    launched = request.launch_parameter
    lifecycle.check_name(launched.job_name)
    path = launched.container_spec_gcs_path
    if not path.startswith("gs://"):
        raise invalid(f"container_spec_gcs_path must begin with gs://: {path!r}.")
    with world.turn(change=not request.validate_only) as now:
        flow = world.flow_for(launched.job_name, request.location, request.project_id)
        batch = bool(path) and path == flow.spec.replay_template
        if flow.spec.template and path != flow.spec.template and not batch:
            raise not_found(path)
        if request.validate_only:
            _check_parameters(launched.parameters, () if batch else _REQUIRED)
            return dataflow.types.LaunchFlexTemplateResponse()
        job = stage.launch(
            flow,
            launched.job_name,
            now,
            start_s=world.start_s,
            update=launched.update,
            parameters=dict(launched.parameters),
            labels=dict(launched.environment.additional_user_labels),
            batch=batch,
        )
        if job.created == now:
            job.max_workers = launched.environment.max_workers or job.max_workers
            job.machine_type = launched.environment.machine_type or job.machine_type
            if launched.environment.num_workers:
                job.workers = launched.environment.num_workers
        return dataflow.types.LaunchFlexTemplateResponse(job=_proto(job, now))


def _check_parameters(given: Mapping[str, str], required: Iterable[str]) -> None:
    """What the template's metadata asks for, Google looks at before anything is launched."""
    lacking = [f"{name}: Missing required parameter" for name in required if not given.get(name)]
    if lacking:
        raise invalid(f"The template parameters are invalid. Details: {'; '.join(lacking)}")


def _metrics(world: World, request: Any) -> Any:
    with world.turn() as now:
        job = world.job(request.job_id, request.location or "us-central1", request.project_id)
        flow = world.flows[job.pipeline]
        view = JobView(at=now, job=job, flow=flow, sample=world.sample(now).flows[flow.spec.name])
        updates = [_update_of("user", name, value, now) for name, value in view.counters.items()]
        if job.state_at(now) in ("RUNNING", "DRAINING"):
            seconds = view.run_s * view.workers
            totals = (seconds * 2, seconds * 7500, seconds * 30, sum(view.counters.values()) / 2.4e6)
            gauges = {
                "SystemLag": view.lag,
                "DataWatermarkLag": view.lag + 3,
                "BacklogElements": view.backlog,
            }
            service = {
                **dict(zip(NORMAL_TOTALS, totals, strict=True)),
                **gauges,
                "CurrentVcpuCount": view.workers * 2,
            }
            updates += [_update_of("dataflow/v1b3", name, value, now) for name, value in service.items()]
        return dataflow.types.JobMetrics(metric_time=timestamp(now), metrics=updates)


def _update_of(origin: str, name: str, value: float, now: float) -> Any:
    context = {"step": "ParseAndValidate", "namespace": "streaming"} if origin == "user" else {}
    # The scalar goes in through the plain message: proto-plus would wrap the Value once more.
    update = dataflow.types.MetricUpdate(
        name=dataflow.types.MetricStructuredName(origin=origin, name=name, context=context),
        kind="Sum" if origin == "user" else "Scalar",
        cumulative=origin == "user",
        update_time=timestamp(now),
    )
    pb(update).scalar.CopyFrom(Value(number_value=float(value)))
    return update


def _messages(world: World, request: Any) -> Any:
    raw = pb(request)
    least = raw.minimum_importance or 5
    low = RANKED.index(least) if least in RANKED else 0
    start = from_timestamp(raw.start_time) if raw.HasField("start_time") else float("-inf")
    end = from_timestamp(raw.end_time) if raw.HasField("end_time") else float("inf")
    with world.turn() as now:
        world.job(request.job_id, request.location or "us-central1", request.project_id)
        found = [
            entry
            for entry in world.logs.messages_of(request.job_id)
            if start <= entry.at < end
            and entry.at <= now
            and RANKED.index(IMPORTANCE.get(entry.severity, 4)) >= low
        ]
    found.sort(key=lambda entry: (entry.at, entry.insert_id))
    shown, token = page(found, request.page_size, request.page_token, default=100, maximum=1000)
    return dataflow.types.ListJobMessagesResponse(
        job_messages=[
            dataflow.types.JobMessage(
                id=entry.insert_id,
                time=timestamp(entry.at),
                message_text=str((entry.fields or {}).get("message", "")),
                message_importance=IMPORTANCE.get(entry.severity, 4),
            )
            for entry in shown
        ],
        next_page_token=token,
    )


def _proto(job: Job, now: float, *, full: bool = False) -> Any:
    types = dataflow.types
    started = job.started()
    pool = types.WorkerPool(
        kind="harness",
        num_workers=job.workers,
        machine_type=job.machine_type,
        autoscaling_settings=types.AutoscalingSettings(max_num_workers=job.max_workers),
    )
    more: dict[str, Any] = {}
    if full:
        more["environment"] = types.Environment(
            worker_pools=[pool], service_account_email=worker_account(job.project)
        )
        more["runtime_updatable_params"] = types.RuntimeUpdatableParams(
            min_num_workers=job.min_workers, max_num_workers=job.max_workers
        )
    if started is not None and started <= now:
        more["start_time"] = timestamp(started)
    # The client that replaced it learns of a successor only when the old job is UPDATED.
    if job.replaced_by and job.state_at(now) == "UPDATED":
        more["replaced_by_job_id"] = job.replaced_by
    return types.Job(
        id=job.id,
        project_id=job.project,
        name=job.name,
        location=job.region,
        type_=types.JobType.JOB_TYPE_STREAMING if job.streaming else types.JobType.JOB_TYPE_BATCH,
        current_state=f"JOB_STATE_{job.state_at(now) or 'UNKNOWN'}",
        current_state_time=timestamp(job.since(now)),
        requested_state=f"JOB_STATE_{job.requested or 'UNKNOWN'}",
        create_time=timestamp(job.created),
        replace_job_id=job.replaces,
        labels=dict(job.labels),
        job_metadata=types.JobMetadata(
            sdk_version=types.SdkVersion(version="2.77.0", version_display_name="Apache Beam SDK for Python")
        ),
        **more,
    )
