"""The checks of what is allowed: APIs, the account in use, the workers' account, quotas."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from pipeline.checks import Failed, Probe, Unknowable
from pipeline.errors import PipelineError
from pipeline.operations.base import Context
from pipeline.report import number

if TYPE_CHECKING:
    from pipeline.google.quotas import Quota

_APIS: Final = (
    "compute.googleapis.com",
    "dataflow.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "storage.googleapis.com",
)
# What the account in use does on the whole project, and the role that holds it.
_OWN: Final = {
    "roles/dataflow.developer": (
        "dataflow.jobs.create",
        "dataflow.jobs.get",
        "dataflow.jobs.list",
        "dataflow.jobs.updateContents",
    ),
    "roles/monitoring.viewer": ("monitoring.timeSeries.list",),
    "roles/logging.viewer": ("logging.logEntries.list",),
}
_JOB_USER: Final = {"roles/bigquery.jobUser": ("bigquery.jobs.create",)}
# What workers need, and the roles that hold it; the first is the one to grant.
_WORKER: Final = "roles/dataflow.worker"
_STREAM: Final = {
    "roles/pubsub.subscriber": ("roles/pubsub.editor", "roles/pubsub.admin"),
    "roles/pubsub.publisher": ("roles/pubsub.editor", "roles/pubsub.admin"),
    "roles/storage.objectAdmin": ("roles/storage.admin",),
}
_TABLES: Final = {"roles/bigquery.dataEditor": ("roles/bigquery.dataOwner", "roles/bigquery.admin")}
_STATISTICS: Final = {"roles/bigtable.user": ("roles/bigtable.admin",)}
_EVERYTHING: Final = frozenset({"roles/owner", "roles/editor"})
_FULL: Final = 0.9


def access_probes(ctx: Context) -> Iterator[Probe]:
    """Nothing that is not known is called fine."""
    project = ctx.pipeline.project
    yield Probe(
        name="enabled APIs",
        look=partial(_apis, ctx),
        mend=f"gcloud services list --enabled --project {project}",
        api="serviceusage.googleapis.com",
        project=project,
        essential=False,
    )
    own = _OWN | (_JOB_USER if ctx.pipeline.export else {})
    for role, permissions in own.items():
        yield Probe(
            name=f"permissions of {role}",
            look=partial(_own, ctx, permissions),
            mend=f"gcloud projects add-iam-policy-binding {project} --member ACCOUNT --role {role}",
            show=f"gcloud projects get-iam-policy {project}",
            api="cloudresourcemanager.googleapis.com",
            project=project,
            essential=False,
        )
    yield Probe(
        name="permissions of the workers",
        look=partial(_workers, ctx),
        mend=f"gcloud projects get-iam-policy {project}",
        api="cloudresourcemanager.googleapis.com",
        project=project,
        essential=False,
    )
    yield Probe(
        name="quota",
        look=partial(_quota, ctx),
        mend=f"gcloud compute regions describe {ctx.pipeline.region} --project {project}",
        project=project,
        essential=False,
    )


def _apis(ctx: Context) -> str:
    from pipeline.google import access

    pipeline = ctx.pipeline
    needed = set(_APIS)
    needed |= {"bigquery.googleapis.com"} if pipeline.dataset or pipeline.export else set()
    needed |= (
        {"bigtable.googleapis.com", "bigtableadmin.googleapis.com"} if pipeline.bigtable_instance else set()
    )
    off = sorted(needed - access.enabled_apis(ctx.clients, pipeline.project, ctx.deadline_s))
    if off:
        names = " ".join(off)
        raise Failed(
            f"not enabled: {', '.join(off)}", f"gcloud services enable {names} --project {pipeline.project}"
        )
    return f"all {len(needed)} that the pipeline uses"


def _own(ctx: Context, permissions: tuple[str, ...]) -> str:
    from pipeline.google import access

    granted = access.granted_on_project(ctx.clients, ctx.pipeline.project, permissions, ctx.deadline_s)
    return access.all_of(permissions, granted)


def _workers(ctx: Context) -> str:
    """The project's policy names the worker's role; what a resource grants by itself is not seen here."""
    from pipeline.google import access

    project, account = ctx.pipeline.project, _account(ctx)
    roles = access.roles_of(ctx.clients, project, account, ctx.deadline_s)
    if roles & _EVERYTHING:
        return f"{account} has {', '.join(sorted(roles & _EVERYTHING))}"
    if _WORKER not in roles and not _custom(roles):
        raise Failed(f"{account} lacks {_WORKER} on the project", _grant(project, account, _WORKER))
    wanted = _STREAM | (_TABLES if ctx.pipeline.dataset else {})
    wanted |= _STATISTICS if ctx.pipeline.bigtable_instance else {}
    absent = [role for role, wider in wanted.items() if not roles & {role, *wider}]
    if absent:
        raise Unknowable(
            f"the project itself does not give {account} {', '.join(absent)}; a role of the project's own or a grant "
            "on the resource would do and is not seen here",
            "; ".join(_grant(project, account, role) for role in absent),
        )
    return f"{account} has the roles that it needs"


def _account(ctx: Context) -> str:
    from pipeline.google import access, dataflow

    account = dataflow.worker_account(ctx.clients, ctx.pipeline, ctx.deadline_s)
    if account:
        return account
    project = access.project_number(ctx.clients, ctx.pipeline.project, ctx.deadline_s)
    if not project:
        raise Unknowable("no job lives that would tell whom its workers run as")
    return f"{project}-compute@developer.gserviceaccount.com"


def _custom(roles: frozenset[str]) -> bool:
    return any(not role.startswith("roles/") for role in roles)


def _grant(project: str, account: str, role: str) -> str:
    return f"gcloud projects add-iam-policy-binding {project} --member serviceAccount:{account} --role {role}"


def _quota(ctx: Context) -> str:
    """Failed where one is nearly full, or has no room for the workers that the job may have."""
    from pipeline.google import quotas

    project, region = ctx.pipeline.project, ctx.pipeline.region
    found = quotas.compute_quotas(ctx.clients, project, region, ctx.now(), ctx.deadline_s)
    if not found:
        raise Unknowable(f"Cloud Monitoring shows no quota of Compute Engine in {region}")
    first = found[0]
    said = f"{number(first.used)} of {number(first.limit)} {first.name} used in {region}"
    if first.used >= _FULL * first.limit:
        raise Failed(said, _raise(ctx, first, first.limit * 2))
    cpus = next((one for one in found if one.name == quotas.CPUS), None)
    more = _cpus_to_come(ctx) if cpus is not None else None
    if cpus is not None and more is not None and more > cpus.free:
        raise Failed(
            f"the job may take {number(more)} more CPUs, {number(cpus.free)} are free in {region}",
            _raise(ctx, cpus, cpus.used + more),
        )
    return said


def _cpus_to_come(ctx: Context) -> float | None:
    """How many more CPUs the living job would use with all the workers that it may have; None when not known."""
    from pipeline.google import dataflow, metrics, prices

    try:
        living = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=True, deadline_s=ctx.deadline_s)
        if not living:
            return None
        workers = dataflow.workers_of(ctx.clients, ctx.pipeline, living[0].id, ctx.deadline_s)
        vcpus = metrics.job_series(
            ctx.clients,
            ctx.pipeline.project,
            ctx.pipeline.job_name,
            "current_num_vcpus",
            ctx.now(),
            600,
            ctx.deadline_s,
        )
    except PipelineError:
        return None
    shape = prices.shape_of(workers.machine)
    used = next((one.last.value for one in vcpus if one.labels.get("job_id") == living[0].id), None)
    if shape is None or used is None or not workers.most:
        return None
    return max(0.0, workers.most * shape[0] - used)


def _raise(ctx: Context, quota: Quota, wanted: float) -> str:
    """Asks Google for a higher quota."""
    service = quota.name.partition("/")[0]
    return (
        f"gcloud beta quotas preferences create --service={service} --quota-id={quota.limit_name} "
        f"--preferred-value={wanted:.0f} --dimensions=region={ctx.pipeline.region} --project={ctx.pipeline.project}"
    )
