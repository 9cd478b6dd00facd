"""pipeline.validate: is everything there that the pipeline needs, and may the account in use touch it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pipeline.checks import Check, Failed, Probe, count, made
from pipeline.operations.base import Context, ReadOperation
from pipeline.operations.validate_access import access_probes
from pipeline.operations.validate_stores import store_probes
from pipeline.patience import Together, within
from pipeline.report import Finding, NextStep, Report, Severity, Table, duration, plural
from pipeline.streaming.settings import template_parameters

_PUBSUB: Final = "pubsub.googleapis.com"
_DATAFLOW: Final = "dataflow.googleapis.com"
ANSWER_S: Final = 8.0  # for the whole of it; what has not answered by then is unknown
_FOR_EVER: Final = "--expiration-period=never"
_DELETED: Final = "_deleted-topic_"


class Validate(ReadOperation):
    """Every check is made, also after one that fails; each fail names the command that mends it."""

    name = "pipeline.validate"
    words = ("validate",)
    summary = (
        "Check the environment: credentials, project, APIs, topics, subscriptions, template, tables, permissions, "
        "quotas"
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        probes = list(_probes(ctx))
        # All at once: those that waited for a thread would be left no time by silent ones before them.
        with (
            within(min(ctx.deadline_s, ANSWER_S)),
            Together(max_workers=len(probes), thread_name_prefix="validate") as pool,
        ):
            checks = list(pool.map(made, probes))
        return report(ctx, checks)


def report(ctx: Context, checks: list[Check]) -> Report:
    """The report of checks that were made."""
    failed = [check for check in checks if check.result == "fail"]
    unsure = [check for check in checks if check.result == "unknown" and check.essential]
    severity: Severity = "critical" if any(c.essential for c in failed) else "warning" if failed else "ok"
    if severity == "ok" and unsure:
        severity = "unknown"
    findings = [_finding(check) for check in (*failed, *(c for c in checks if c.result == "unknown"))]
    passed = count(checks, "pass")
    findings.append(Finding("passed", "ok", f"{plural(passed, 'check passes', 'checks pass')}."))
    # What is wrong stands first: of a long table Slack shows the top.
    ordered = sorted(checks, key=lambda check: ("fail", "unknown", "pass").index(check.result))
    rows = tuple((check.name, check.result, check.text, check.command) for check in ordered)
    return Report(
        operation="pipeline.validate",
        pipeline=ctx.pipeline.name,
        title=f"Environment of {ctx.pipeline.name}",
        verdict=_verdict(ctx.pipeline.name, checks, failed, unsure),
        severity=severity,
        as_of=ctx.now(),
        findings=tuple(findings),
        tables=(Table("Checks", ("check", "result", "found", "command"), rows),),
        next=() if failed else (NextStep("Look at its health", "pipeline.health"),),
        data={"passed": passed, "failed": len(failed), "unknown": count(checks, "unknown")},
    )


def _finding(check: Check) -> Finding:
    severity: Severity = "info"
    if check.result == "fail":
        severity = "critical" if check.essential else "warning"
    elif check.essential:
        severity = "unknown"
    what = "fails" if check.result == "fail" else "is unknown"
    command = f" `{check.command}`" if check.command else ""
    verb = " This mends it:" if check.result == "fail" else " This shows it:"
    text = f"{check.name} {what}: {check.text.rstrip('.')}."
    return Finding(
        f"{check.result}_{check.name}".replace(" ", "_"), severity, text + (verb + command if command else "")
    )


def _verdict(name: str, checks: list[Check], failed: list[Check], unsure: list[Check]) -> str:
    if failed:
        names = ", ".join(check.name for check in failed[:4])
        more = f" and {len(failed) - 4} more" if len(failed) > 4 else ""
        return f"{name} cannot be relied on: {len(failed)} of {plural(len(checks), 'check')} fail, {names}{more}."
    if unsure:
        names = ", ".join(check.name for check in unsure[:4])
        return f"Whether {name} has all it needs is not known: {names} could not be checked."
    unknown = count(checks, "unknown")
    left = f"; {unknown} cannot be seen from here" if unknown else ""
    return f"{name} has what it needs: {plural(count(checks, 'pass'), 'check passes', 'checks pass')}{left}."


def _probes(ctx: Context) -> Iterator[Probe]:
    from pipeline.google import environment

    clients, pipeline = ctx.clients, ctx.pipeline
    yield Probe(
        name="credentials",
        look=lambda: environment.credentials(clients),
        mend="gcloud auth application-default login",
    )
    yield Probe(
        name=f"project {pipeline.project}",
        look=lambda: _project(ctx),
        mend=f"gcloud billing projects link {pipeline.project} --billing-account ACCOUNT",
        show=f"gcloud projects describe {pipeline.project}",
        api="cloudbilling.googleapis.com",
        project=pipeline.project,
    )
    yield from _messaging(ctx)
    yield Probe(
        name="template",
        look=lambda: _template(ctx),
        mend=f"gcloud storage ls {pipeline.template or 'gs://'}",
        api=_DATAFLOW,
        project=pipeline.project,
    )
    yield from _services(ctx)
    yield from store_probes(ctx)
    yield from access_probes(ctx)


def _project(ctx: Context) -> str:
    from pipeline.google.billing import project_billing

    found = project_billing(ctx.clients, ctx.pipeline.project, ctx.deadline_s)
    if not found.enabled:
        raise Failed("billing is off: nothing in it will run")
    return f"exists, billed to {found.account}"


def _template(ctx: Context) -> str:
    """Lets Dataflow look at a launch, with the parameters that it would have, without launching anything."""
    from pipeline.google import dataflow

    pipeline = ctx.pipeline
    if not pipeline.template:
        raise Failed("pipelines.yaml names no template; nothing could be launched")
    # a name of its own: the living job's would be taken
    check = replace(pipeline, job_name=f"{pipeline.job_name}-check")
    dataflow.check_launch(ctx.clients, check, template_parameters(pipeline))
    return f"a launch of {pipeline.template} is valid"


def _messaging(ctx: Context) -> Iterator[Probe]:
    """Topics, subscriptions, and what the account in use may do with them."""
    from pipeline.google import environment, pubsub

    clients, pipeline, project = ctx.clients, ctx.pipeline, ctx.pipeline.project
    for name in filter(None, dict.fromkeys((*pipeline.topics, pipeline.dead_letter_topic))):
        path = pubsub.topic_path(project, name)
        yield Probe(
            name=f"topic {name}",
            look=lambda path=path: environment.topic(clients, path, ctx.deadline_s),  # type: ignore[misc]
            mend=f"gcloud pubsub topics create {name} --project {project}",
            api=_PUBSUB,
            project=project,
        )
    for name in filter(None, dict.fromkeys((*pipeline.subscriptions, pipeline.dead_letter_subscription))):
        path = pubsub.subscription_path(project, name)
        dead = name == pipeline.dead_letter_subscription
        topics = (pipeline.dead_letter_topic,) if dead else pipeline.topics
        topic = f"{pipeline.dead_letter_topic or 'TOPIC'} {_FOR_EVER}" if dead else "TOPIC"
        yield Probe(
            name=f"subscription {name}",
            look=lambda name=name, topics=topics, dead=dead: _subscription(ctx, name, topics, dead),  # type: ignore[misc]
            mend=f"gcloud pubsub subscriptions create {name} --topic {topic} --project {project}",
            api=_PUBSUB,
            project=project,
        )
        if dead:
            yield Probe(
                name=f"expiry of {name}",
                look=partial(_expiry, ctx, name),
                mend=f"gcloud pubsub subscriptions update {name} {_FOR_EVER} --project {project}",
                api=_PUBSUB,
                project=project,
                essential=False,
            )
            yield Probe(
                name=f"permission on {name}",
                look=lambda path=path: environment.granted(  # type: ignore[misc]
                    clients.subscriber, path, ["pubsub.subscriptions.consume"], ctx.deadline_s
                ),
                mend=f"gcloud pubsub subscriptions add-iam-policy-binding {name} --member ACCOUNT "
                f"--role roles/pubsub.subscriber --project {project}",
                show=f"gcloud pubsub subscriptions get-iam-policy {name} --project {project}",
                project=project,
                essential=False,
            )
    for name in pipeline.topics:
        path = pubsub.topic_path(project, name)
        yield Probe(
            name=f"permission on {name}",
            look=lambda path=path: environment.granted(  # type: ignore[misc]
                clients.publisher, path, ["pubsub.topics.publish"], ctx.deadline_s
            ),
            mend=f"gcloud pubsub topics add-iam-policy-binding {name} --member ACCOUNT --role roles/pubsub.publisher "
            f"--project {project}",
            show=f"gcloud pubsub topics get-iam-policy {name} --project {project}",
            project=project,
            essential=False,
        )


def _subscription(ctx: Context, name: str, topics: tuple[str, ...], dead: bool) -> str:
    from pipeline.google import pubsub

    found = pubsub.describe(ctx.clients, ctx.pipeline.project, name, ctx.deadline_s)
    topic = found.topic.rpartition("/")[2]
    if topic == _DELETED:
        raise Failed("its topic was deleted; nothing arrives any more")
    if topics and topic not in topics:
        raise Failed(f"it hangs on topic {topic}, not on {' or '.join(topics)}")
    if dead and found.dead_letter_topic:
        raise Failed(
            "it has a dead-letter policy of its own: each look at it costs a delivery attempt",
            f"gcloud pubsub subscriptions update {name} --clear-dead-letter-policy --project {ctx.pipeline.project}",
        )
    return f"on topic {topic}, keeps messages for {duration(found.retention_s)}"


def _expiry(ctx: Context, name: str) -> str:
    """A queue that is only looked at when something is wrong is not read for months."""
    from pipeline.google import pubsub

    found = pubsub.describe(ctx.clients, ctx.pipeline.project, name, ctx.deadline_s)
    if found.expires_s is not None:
        raise Failed(
            f"Google deletes it when nobody reads it for {duration(found.expires_s)}; dead letters would have nowhere "
            "to wait"
        )
    return "never"


def _services(ctx: Context) -> Iterator[Probe]:
    """An answer proves that the API is enabled and may be read."""
    from pipeline.google import dataflow, logs, metrics

    clients, pipeline, project = ctx.clients, ctx.pipeline, ctx.pipeline.project
    now = ctx.now()

    def jobs() -> str:
        living = dataflow.active_jobs(clients, pipeline, named=True, deadline_s=ctx.deadline_s)
        return f"answers; {plural(len(living), 'living job')} named {pipeline.job_name}"

    def monitoring() -> str:
        metrics.job_series(clients, project, pipeline.job_name, "system_lag", now, 300, ctx.deadline_s)
        return "answers"

    def logging() -> str:
        logs.log_lines(clients, pipeline, since=now - timedelta(minutes=5), until=now, limit=1)
        return "answers"

    for name, api, look in (
        ("Dataflow API", _DATAFLOW, jobs),
        ("Monitoring API", "monitoring.googleapis.com", monitoring),
        ("Logging API", "logging.googleapis.com", logging),
    ):
        yield Probe(
            name=name,
            look=look,
            mend=f"gcloud services enable {api} --project {project}",
            show=f"gcloud services list --enabled --project {project}",
            api=api,
            project=project,
        )
