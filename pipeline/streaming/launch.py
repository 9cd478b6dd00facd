"""``python -m pipeline run direct|flex``: which operation the words mean.  Imports no Beam by itself."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from threading import Event, current_thread, main_thread
from typing import Any, Final

from pipeline.errors import PipelineError, Refused, UsageError
from pipeline.operations import Context, Operation, Param, ReadOperation
from pipeline.operations.stores import lacking, make
from pipeline.operations.words import complete_word
from pipeline.report import Evidence, Finding, Report, Severity, Table, number, plural
from pipeline.streaming.flex import RunFlex
from pipeline.streaming.settings import FORMATS, Settings, read, template_parameters

_MODES: Final = ("direct", "flex")
_STOP_S: Final = 3.0  # what was read is accounted for by then; only idle pulls are left


class RunDirect(ReadOperation):
    """Runs the pipeline in this process until its duration or Ctrl-C; the report has the final counts."""

    name = "pipeline.run.direct"
    words = ("run", "direct")
    summary = "Run the pipeline on this machine, against emulators or the sandbox"
    params = (
        Param(name="duration", type=int, default=0, help="seconds to run (0: until Ctrl-C)", minimum=0),
        Param(name="output", type=str, default="var/streaming", help="folder for rows and heartbeat.json"),
        Param(name="format", type=str, default="jsonl", help="of the rows' files", choices=FORMATS),
        Param(name="bigquery", type=bool, default=False, help="rows to BigQuery's emulator instead of files"),
        Param(name="bigtable", type=bool, default=False, help="statistics to Bigtable's emulator besides"),
        Param(name="heartbeat_topic", type=str, default="", help="topic that gets the counters as well"),
        Param(name="heartbeat", type=int, default=10, help="seconds between heartbeats", minimum=1),
        Param(name="dry_run", type=bool, default=False, help="say what would be done, do nothing"),
    )

    def read(self, ctx: Context, params: Mapping[str, Any]) -> Report:
        settings = direct_settings(ctx, params)
        _warn_of_a_job(ctx)
        # Only the stores that this run writes to, and these are emulators.
        own = replace(
            ctx,
            pipeline=replace(
                ctx.pipeline,
                dataset=ctx.pipeline.dataset if settings.dataset else "",
                bigtable_table=ctx.pipeline.bigtable_table if settings.bigtable else "",
            ),
        )
        gaps, unsure = lacking(own)
        if unsure:
            print(f"Whether the tables are there is not known: {unsure}", file=sys.stderr)
        if params.get("dry_run"):
            return _would(ctx, settings, [gap.what for gap in gaps])
        make(own, [gap.what for gap in gaps], lambda text: print(text, file=sys.stderr))
        return _run(ctx, settings, params)


def operation_of(words: list[str]) -> tuple[Operation, list[str]]:
    """The operation behind ``run``'s words, and the words that are left; UsageError for others."""
    operations: dict[str, type[Operation]] = {"direct": RunDirect, "flex": RunFlex}
    mode = words[0] if words else ""
    if mode in operations:
        return operations[mode](), words[1:]
    guess = complete_word(mode, _MODES) if mode else None
    wrong = f", not {mode!r}" if mode else ""
    hint = f" Did you mean {guess}?" if guess else ""
    raise UsageError(f"`run` is followed by direct or flex{wrong}.{hint}")


def direct_settings(ctx: Context, params: Mapping[str, Any]) -> Settings:
    """The pipeline's own sources, local sinks; Refused where it would take messages from the real cloud."""
    if not ctx.clients.settings.pubsub_emulator:
        raise Refused(
            "A local run keeps its windows in memory and would take messages from the real job; it reads an "
            "emulator or the sandbox only. Set PUBSUB_EMULATOR_HOST, or use `python -m pipeline run flex`."
        )
    given: dict[str, object] = {**template_parameters(ctx.pipeline)}
    for name, flag in (("dataset", "bigquery"), ("bigtable", "bigtable")):
        if not params.get(flag):
            given.pop(name, None)
        elif not _emulated(flag):
            raise Refused(
                f"--{flag} writes to an emulator only; {flag.upper()}_EMULATOR_HOST is not set, and nothing was done."
            )
    folder = str(params.get("output") or "var/streaming")
    return read({**given, "output_dir": folder, "output_format": params.get("format")})


def _warn_of_a_job(ctx: Context) -> None:
    """Two readers of one subscription split the stream; an emulator alone has no Dataflow to ask."""
    from pipeline.google import dataflow

    try:
        living = dataflow.active_jobs(ctx.clients, ctx.pipeline, named=True, deadline_s=2.0)
    except PipelineError:
        return
    if living:
        print(
            f"Job {living[0].id} ({living[0].state}) reads the same subscriptions; it takes a part, or all, of what "
            "comes.",
            file=sys.stderr,
        )


def _emulated(service: str) -> bool:
    if service == "bigquery":
        from pipeline.google import bigquery

        return bigquery.emulated()
    from pipeline.google import bigtable

    return bigtable.emulated()


def _would(ctx: Context, settings: Settings, creates: list[str]) -> Report:
    sink = settings.dataset or f"{settings.output_dir} ({settings.output_format})"
    text = (
        f"Would read {settings.click_subscription}, {settings.transaction_subscription} and "
        f"{settings.stock_subscription} at {ctx.clients.settings.pubsub_emulator}, write to {sink}"
        + (f" and {settings.bigtable}" if settings.bigtable else "")
        + f", and dead letters to {settings.dead_letter_topic}. "
        + (f"Would first create {'; '.join(creates)}. " if creates else "")
        + "Nothing was done."
    )
    return _report(ctx, text, "info", {})


def _run(ctx: Context, settings: Settings, params: Mapping[str, Any]) -> Report:
    try:
        from pipeline.streaming import direct
    except ModuleNotFoundError as error:
        raise UsageError(_no_beam(error)) from None
    stopped = Event()
    if current_thread() is main_thread():
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, lambda *_: stopped.set())
    topic = str(params.get("heartbeat_topic") or "")
    tell = direct.publisher(ctx.clients, ctx.pipeline.project, topic, settings.output_dir)
    run = direct.DirectRun(
        settings, ctx.clients, job_name=ctx.pipeline.job_name, project=ctx.pipeline.project, now=ctx.now
    )
    try:
        direct.watch(
            run,
            tell,
            every_s=float(params.get("heartbeat") or 10),
            until=direct.ends(stopped, float(params.get("duration") or 0)),
            wait=stopped.wait,
        )
        why = run.failure()
        last = run.settle()
    finally:
        run.stop(_STOP_S)
    tell(last)
    return _finished(ctx, dict(last.counters), last.in_flight, why)


def _finished(ctx: Context, counters: dict[str, int], in_flight: int, why: str) -> Report:
    received = sum(value for name, value in counters.items() if name.endswith("_received"))
    if why:
        return _report(ctx, f"The local run ended by itself: {why}", "critical", counters)
    if in_flight:
        text = f"{plural(in_flight, 'event is', 'events are')} unaccounted for among {number(received)} read."
        return _report(ctx, text, "critical", counters)
    text = f"{plural(received, 'event')} read; every one is valid, dead-lettered or a duplicate."
    return _report(ctx, text, "ok", counters)


def _report(ctx: Context, text: str, severity: Severity, counters: Mapping[str, int]) -> Report:
    rows = tuple((name, number(value)) for name, value in sorted(counters.items()))
    evidence = (
        Evidence("events read", sum(v for k, v in counters.items() if k.endswith("_received")), "events"),
    )
    return Report(
        operation=RunDirect.name,
        pipeline=ctx.pipeline.name,
        title=f"Local run of {ctx.pipeline.name}",
        verdict=text,
        severity=severity,
        as_of=ctx.now(),
        findings=(Finding("direct", severity, text, evidence if counters else ()),),
        tables=(Table("Counters", ("counter", "events"), rows),) if rows else (),
        data={"counters": dict(counters)},
    )


def _no_beam(error: ModuleNotFoundError) -> str:
    return f"`run direct` needs Apache Beam, which is not installed ({error.name}); `make .venv` installs it."
