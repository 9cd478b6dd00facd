"""What happens to jobs: how they start, fail, get stuck, are doubled, launched and replaced."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from sandbox.google.errors import Refused
from sandbox.google.flow import NORMAL_WORKERS, Flow
from sandbox.google.jobs import TERMINAL, Job
from sandbox.google.logs import LogBook
from sandbox.google.scenarios import DATA_FAULTS, SLOW, JobEntry
from sandbox.google.timeline import instant

START_S = 20.0
BATCH_S = 120.0
FAILED_LETTERS = 24
STANDING_DAYS = 9

FAILURES = {
    "exception": (
        "Error message from worker: Traceback (most recent call last):\n"
        '  File "pipeline/streaming/enrich.py", line 88, in process\n'
        '    yield event | {"category": "shop/" + product["category"]}\n'
        "TypeError: unsupported operand type(s) for +: 'NoneType' and 'str' "
        "[while running 'EnrichProduct-ptransform-41']",
        "Workflow failed. Causes: S07:ParseAndValidate+EnrichProduct failed. The job failed because a work item "
        "has failed 4 times. Look in previous log entries for the cause of each one of the 4 failures.",
    ),
    "quota": (
        "Startup of the worker pool in zone europe-west1-b failed to bring up any of the desired 2 workers. "
        "QUOTA_EXCEEDED: Instance 'ecommerce-streaming-harness-0' creation failed: Quota 'CPUS' exceeded. "
        "Limit: 24.0 in region europe-west1.",
        "Workflow failed. Causes: The project demo-project has insufficient quota(s) to execute this workflow "
        "with 1 instances in region europe-west1. Quota summary (required/available): 4/0 CPUs.",
    ),
    "permission": (
        "Permission 'pubsub.subscriptions.consume' denied on resource (or it may not exist). "
        "Service account: pipeline-worker@demo-project.iam.gserviceaccount.com",
        "Workflow failed. Causes: There was a problem pulling from the subscription: PERMISSION_DENIED: User not "
        "authorized to perform this action.",
    ),
}


def new_job(flow: Flow, name: str, at: float, transitions: list[tuple[float, str]]) -> Job:
    """A job of that pipeline with an id like Dataflow's; it joins the flow."""
    stamp = instant(at - 8 * 3600).strftime("%Y-%m-%d_%H_%M_%S")
    serial = Random(f"{flow.spec.name}:{len(flow.jobs)}:{name}").randrange(10**17, 10**18)
    job = Job(
        id=f"{stamp}-{serial}",
        name=name,
        pipeline=flow.spec.name,
        project=flow.spec.project,
        region=flow.spec.region,
        created=at,
        transitions=transitions,
        template=flow.spec.template,
        labels={"pipeline": flow.spec.name, "goog-dataflow-provided-template-type": "flex"},
    )
    flow.jobs.append(job)
    return job


def standing_job(flow: Flow, at: float) -> Job:
    """The job of a healthy world: running since nine days before `at`."""
    began = at - STANDING_DAYS * 86_400.0
    steps = [(began, "QUEUED"), (began + 6, "PENDING"), (began + 95, "RUNNING")]
    return new_job(flow, flow.spec.job_name, began, steps)


def play(flow: Flow, scenario: str, at: float, start_s: float) -> None:
    """Let a scenario happen to a pipeline at `at` (epoch seconds)."""
    running = [job for job in flow.jobs if job.active_at(at)]
    if scenario == "healthy":
        _heal(flow, running, at)
    elif scenario == "job_failed":
        for job in running:
            fail(flow.logs, job, at, flow.cause)
        if running:
            flow.fail_letters(running[0], at, FAILED_LETTERS)
    elif scenario == "job_stuck":
        for job in running:
            job.stuck_since = at
    elif scenario == "doubled_job":
        stamp = instant(at).strftime("%Y%m%d-%H%M%S")
        steps = [(at - start_s, "PENDING"), (at, "RUNNING")]
        new_job(flow, f"{flow.spec.job_name}-{stamp}", at - start_s, steps)
    elif scenario == "cost_spike":
        for job in running:
            job.workers = job.max_workers
            text = (
                f"Autoscaling: Raised the number of workers to {job.workers} based on the ability to keep up."
            )
            flow.logs.of_job(job, at, "INFO", text, log="job-message")
    elif scenario in DATA_FAULTS:
        flow.data_fault = scenario
    elif scenario in SLOW:
        flow.slow = flow.slow | {scenario}
    elif scenario == "silent_source" and flow.lanes:
        flow.lanes[0].traffic = flow.lanes[0].traffic.silent_from(at)


def _heal(flow: Flow, running: list[Job], at: float) -> None:
    flow.data_fault, flow.slow = "", frozenset()
    flow.restart_works, flow.cause = True, "exception"
    for lane in flow.lanes:
        lane.traffic = lane.traffic.speaking_from(at)
    for job in running:
        job.stuck_since, job.workers = None, NORMAL_WORKERS
        if job.name != flow.spec.job_name:
            job.become(at, (0.0, "CANCELLED"))
        elif job.state_at(at) == "DRAINING":
            job.become(at, (0.0, "DRAINED"))
    if not any(job.active_at(at) for job in flow.jobs):
        new_job(flow, flow.spec.job_name, at, [(at, "RUNNING")])


def fail(logs: LogBook, job: Job, at: float, cause: str) -> None:
    """The job goes to FAILED at `at`, with its reason in the logs of the two minutes before."""
    worker, service = failure(job, cause)
    job.become(at, (0.0, "FAILED"))
    for retry in range(4):
        logs.of_job(job, at - 100 + retry * 30, "ERROR", worker, step="EnrichProduct")
    logs.of_job(job, at, "ERROR", service, log="job-message")
    logs.of_job(job, at + 0.5, "INFO", "Cleaning up.", log="job-message")


def launch(
    flow: Flow,
    name: str,
    at: float,
    *,
    start_s: float,
    update: bool,
    parameters: Mapping[str, str],
    labels: Mapping[str, str],
    batch: bool = False,
) -> Job:
    """Start a job as LaunchFlexTemplate does: QUEUED now, RUNNING after `start_s`; a batch job is DONE in time.

    An active job of that name is returned instead of a second one; with `update` it is replaced when the new one
    runs, and goes on when that fails. Raises Refused.
    """
    standing = next((job for job in flow.jobs if job.name == name and job.active_at(at)), None)
    if standing is not None and not update:
        return standing
    if standing is None and update:
        raise Refused("FAILED_PRECONDITION", f"No running job with name {name} to update was found.")
    if standing is not None and standing.state_at(at) != "RUNNING":
        raise Refused(
            "FAILED_PRECONDITION", f"Job {standing.id} is {standing.state_at(at)} and cannot be updated."
        )
    end = "RUNNING" if flow.restart_works or batch else "FAILED"
    steps = [(at, "QUEUED"), (at + start_s / 4, "PENDING"), (at + start_s, end)]
    if batch:
        steps.append((at + start_s + BATCH_S, "DONE"))
    job = new_job(flow, name, at, steps)
    job.streaming = not batch
    job.labels |= dict(labels)
    job.parameters = dict(parameters)
    flow.logs.of_job(job, at, "INFO", f"Launching the template {job.template}", log="launcher")
    if standing is not None:
        job.replaces = standing.id
        if flow.restart_works:
            standing.replaced_by = job.id
            standing.become(at, (start_s, "UPDATED"))
    return job


def failure(job: Job, cause: str) -> tuple[str, str]:
    """What a worker and what the service writes when the job fails for that cause."""
    names = (("demo-project", job.project), ("europe-west1", job.region), ("ecommerce-streaming", job.name))
    worker, service = FAILURES[cause]
    for ours, theirs in names:
        worker, service = worker.replace(ours, theirs), service.replace(ours, theirs)
    return worker, service


def tell_transition(flow: Flow, job: Job, at: float) -> None:
    """Write what the service writes when a job changes its state at `at`."""
    state = job.state_at(at)
    if state == "FAILED":
        worker, service = failure(job, flow.cause)
        flow.logs.of_job(job, at, "ERROR", worker, log="launcher")
        flow.logs.of_job(job, at, "ERROR", service, log="job-message")
        return
    text = {
        "PENDING": "Worker configuration: n1-standard-2 in europe-west1-b.",
        "RUNNING": "Workers have started successfully.",
        "DRAINING": "Draining: no new data is read; work in flight is finished.",
        "DRAINED": "Job finished draining.",
        "CANCELLING": "Cancel request is committed for workflow job.",
        "CANCELLED": "Worker pool stopped.",
        "UPDATED": f"This job was replaced by {job.replaced_by}.",
    }.get(state or "")
    if text:
        flow.logs.of_job(job, at, "INFO", text, log="job-message")


def put_job(flow: Flow, entry: JobEntry, at: float) -> Job:
    """Force a job into a state, or add one: by id, else by the name of an active one. Raises ValueError."""
    found = next(
        (
            j
            for j in flow.jobs
            if (j.id == entry.id if entry.id else j.name == entry.name and j.active_at(at))
        ),
        None,
    )
    if found is None:
        began = at - entry.age_s
        before = [] if entry.state in ("QUEUED", "PENDING", "RUNNING") else [(began, "RUNNING")]
        when = began if not before else at
        found = new_job(flow, entry.name or flow.spec.job_name, began, [*before, (when, entry.state)])
        found.id = entry.id or found.id
    elif found.state_at(at) != entry.state:
        if entry.state == "FAILED":
            fail(flow.logs, found, at, flow.cause)
        else:
            found.become(at, (0.0, entry.state))
    if entry.state in TERMINAL:
        found.stuck_since = None
    found.labels |= dict(entry.labels)
    return found
