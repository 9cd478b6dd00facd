"""The terminal: ``python -m pipeline health``, ``dlq peek --limit 20``, ``restart --dry-run``.

The words, flags and exit codes are INTERFACE "Start"; the flags are read by the same parser that
reads Slack's.  Exit: 0 fine or info; 1 warning or critical found; 2 unknown, wrong use, unreachable.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Timer
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pipeline.errors import ConfigError, PipelineError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.catalogue import Catalogue, Pipeline
    from pipeline.operations import ChangeOperation, Context, Operation, Plan
    from pipeline.report import Report

T = TypeVar("T")
_SPINNER_AFTER_S: Final = 1.0
USAGE: Final = 2
_STORED: Final = ("pipeline.status", "pipeline.maintenance", "pipeline.windows")
_REMEMBERING: Final = ("pipeline.health", "pipeline.quality", "pipeline.trends", "dlq.replay", "dlq.stats")


def main(argv: list[str] | None = None) -> int:
    """Runs one command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words or words[0] in ("help", "--help", "-h"):
            return _overview()
        if words[0] == "run":
            return _run_pipeline(words[1:])
        return _operate(words)
    except PipelineError as error:
        print(f"Error: {error}", file=sys.stderr)
        if "--json" in words:
            _show_failure(words, str(error))
        return USAGE
    except KeyboardInterrupt:
        print(
            "Interrupted. What was confirmed by the service stays done; it may be run again.", file=sys.stderr
        )
        return USAGE
    except BrokenPipeError:
        # the reader, e.g. `head`, has seen enough; Python must not complain about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _operate(words: list[str]) -> int:
    from pipeline.operations import by_words

    return _perform(*by_words(words))


def _perform(operation: Operation, tokens: list[str]) -> int:
    from pipeline.operations import ReadOperation, get, parse

    params = parse(operation, tokens)
    if params.get("help"):
        return _help(operation)
    if other := operation.instead(params):
        operation = get(other)
    catalogue = _catalogue()
    pipeline = catalogue.pipelines[0] if operation.every_pipeline else catalogue.find(params.get("pipeline"))
    with _context(operation, catalogue, pipeline) as ctx:
        if isinstance(operation, ReadOperation):
            report = _patiently(f"{operation.summary} …", params, lambda: operation.read(ctx, params))
            if operation.name == "pipeline.health" and ctx.history is not None:
                ctx.history.record_probe(report)
            return _show(_drawn(report, params), params)
        return _change(ctx, operation, params)


def _drawn(report: Report, params: Mapping[str, Any]) -> Report:
    """A report that has something to draw gets it as a file."""
    if not report.data.get("drawing"):
        return report
    from pipeline.drawn import with_picture

    return _patiently("Drawing …", params, lambda: with_picture(report))


def _change(ctx: Context, operation: Operation, params: Mapping[str, Any]) -> int:
    """plan -> confirm -> run -> verify."""
    from pipeline.operations import ChangeOperation
    from pipeline.report import EXIT_CODES, worst

    assert isinstance(operation, ChangeOperation)
    plan = _patiently("Planning …", params, lambda: operation.plan(ctx, params))
    if params.get("dry_run") or plan.refusal:
        _show_plan(plan, params)
        if plan.refusal and not params.get("json"):
            print(f"Refused: {plan.refusal}", file=sys.stderr)
        return 1 if plan.refusal else 0
    if not params.get("json"):
        _show_plan(plan, params)
    _confirm(ctx.pipeline, plan, params)
    done = _carry_out(ctx, operation, plan, params)
    if EXIT_CODES[done.severity]:
        return _show(done, params)
    if not params.get("json"):
        _show(done, params)
    verified = _patiently("Verifying …", params, lambda: operation.verify(ctx, plan))
    if params.get("json"):
        from dataclasses import replace

        both = {"plan": plan.to_json(), "run": done.to_json()}
        verified = replace(verified, data={**verified.data, **both})
    _show(verified, params)
    return EXIT_CODES[worst((done.severity, verified.severity))]


def _confirm(pipeline: Pipeline, plan: Plan, params: Mapping[str, Any]) -> None:
    """INTERFACE: changes ask; production is confirmed by its name; UsageError when nobody confirms."""
    named = params.get("confirm")
    if named is not None and named != pipeline.name:
        raise UsageError(f"--confirm {named} does not name the pipeline {pipeline.name}; nothing was done.")
    if named == pipeline.name or (params.get("yes") and not pipeline.is_production):
        return
    if pipeline.is_production and params.get("yes"):
        raise UsageError(f"{pipeline.name} is production: say --confirm {pipeline.name}. Nothing was done.")
    if not sys.stdin.isatty() or params.get("json"):
        flag = f"--confirm {pipeline.name}" if pipeline.is_production else "--yes"
        raise UsageError(f"Nobody is there to confirm; say {flag}. Nothing was done.")
    wanted = pipeline.name if pipeline.is_production else "yes"
    print(f"Type {wanted} to do this ({plan.risk.value}): ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != wanted:
        raise UsageError("Not confirmed; nothing was done.")


def _carry_out(ctx: Context, operation: ChangeOperation, plan: Plan, params: Mapping[str, Any]) -> Report:
    """Runs the plan; progress goes to stderr, so that stdout stays the report's."""
    from pipeline.operations import Progress

    quiet = bool(params.get("json")) or not sys.stderr.isatty()

    def tell(progress: Progress) -> None:
        if quiet:
            return
        share = (
            f" [{progress.done:,}/{progress.total:,}]" if progress.done is not None and progress.total else ""
        )
        print(f"  {progress.text}{share}", file=sys.stderr, flush=True)

    return operation.run(ctx, plan, tell)


def _overview() -> int:
    from pipeline.operations import registry

    print("python -m pipeline OPERATION [--pipeline NAME] [--json] [--help] ...\n")
    for name, operation in registry().items():
        words = name.removeprefix("pipeline.").replace(".", " ")
        print(f"  {words:<14} {operation.summary} ({operation.risk.value})")
    print(f"  {'run direct':<14} Run the pipeline on this machine, against emulators or the sandbox")
    print(f"  {'run flex':<14} Launch the pipeline on Dataflow (change)")
    print("\nChanges: --dry-run shows the plan; --yes goes on; production: --confirm NAME.")
    print("Exit: 0 fine or info; 1 warning or critical found; 2 unknown, wrong use, unreachable.")
    return 0


def _help(operation: Operation) -> int:
    from pipeline.operations import flags, usage

    print(f"python -m pipeline {usage(operation)}\n\n{operation.summary} ({operation.risk.value}).\n")
    for param in flags(operation):
        default = "" if param.default in (None, False) else f" (default {param.default})"
        choices = f" one of {', '.join(param.choices)}" if param.choices else ""
        print(f"  {param.flag:<16} {param.help}{choices}{default}")
    return 0


def _run_pipeline(words: list[str]) -> int:
    """``run direct`` and ``run flex``; Beam is imported by the first alone, and only when it starts."""
    from pipeline.streaming.launch import operation_of

    return _perform(*operation_of(words))


def _catalogue() -> Catalogue:
    from pipeline.catalogue import load

    return load(None, os.environ.get("GOOGLE_CLOUD_PROJECT", ""), os.environ.get("REGION", ""))


@contextmanager
def _context(operation: Operation, catalogue: Catalogue, pipeline: Pipeline) -> Iterator[Context]:
    from pipeline.google.clients import Clients, GoogleSettings
    from pipeline.operations import Context

    history = None
    needed = operation.name in _STORED or operation.name.startswith("cost.")
    if needed or operation.name in _REMEMBERING:
        history = _history(needed=needed)
    with Clients(GoogleSettings.from_env()) as clients:
        try:
            yield Context(
                pipeline=pipeline,
                clients=clients,
                history=history,
                now=_clock(os.environ.get("STREAMWATCH_CLOCK", "")),
                sleep=time.sleep,
                requested_by=os.environ.get("USER", "terminal"),
                catalogue=catalogue.pipelines,
            )
        finally:
            if history is not None:
                history.close()


def _history(*, needed: bool) -> Any:
    """The store; a fresh probe is kept where the bot's database is named, and needs none otherwise."""
    url = os.environ.get("DATABASE_URL", "")
    if not url and not needed:
        return None
    from pipeline.history import History
    from pipeline.history_base import DEFAULT_URL

    return History.open(url or DEFAULT_URL)


def _clock(setting: str) -> Callable[[], datetime]:
    """Real time, or the rehearsal clock of STREAMWATCH_CLOCK: "wall,domain,speed" in epoch seconds."""
    if not setting:
        return lambda: datetime.now(UTC)
    try:
        wall, domain, speed = (float(part) for part in setting.split(","))
        begin = datetime.fromtimestamp(domain, UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"STREAMWATCH_CLOCK is `wall,domain,speed` in seconds, not {setting!r}") from None
    return lambda: begin + timedelta(seconds=(time.time() - wall) * speed)


def _patiently(text: str, params: Mapping[str, Any], work: Callable[[], T]) -> T:
    """Does the work; a spinner appears on a terminal when it takes more than a second."""
    if params.get("json") or not sys.stderr.isatty():
        return work()
    from rich.console import Console

    status = Console(stderr=True).status(text)
    timer = Timer(_SPINNER_AFTER_S, status.start)
    timer.daemon = True
    timer.start()
    try:
        return work()
    finally:
        timer.cancel()
        status.stop()


def _show(report: Report, params: Mapping[str, Any]) -> int:
    from pipeline.report import EXIT_CODES

    if params.get("json"):
        print(report.dumps(indent=2))
    else:
        from pipeline.render import terminal

        terminal(report, _console())
    return EXIT_CODES[report.severity]


def _show_failure(words: list[str], text: str) -> None:
    """INTERFACE: with --json stdout is JSON only, when nothing could be done too."""
    from pipeline.report import Report

    named = [word for word in words if not word.startswith("-")]
    at = words.index("--pipeline") + 1 if "--pipeline" in words[:-1] else 0
    pipeline = words[at] if at else ""
    operation = ".".join(word for word in named[:2] if word != pipeline)
    now = datetime.now(UTC)
    report = Report(operation=operation, pipeline=pipeline, verdict=text, severity="unknown", as_of=now)
    print(report.dumps(indent=2))


def _console() -> Console:
    """Colour and the window's width on a terminal; plain and wide for a pipe or a file, or as COLUMNS says."""
    from rich.console import Console

    told = os.environ.get("COLUMNS", "").isdecimal()
    return Console(highlight=False, width=None if told or sys.stdout.isatty() else 160)


def _show_plan(plan: Plan, params: Mapping[str, Any]) -> None:
    if params.get("json"):
        import json

        print(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
        return
    from pipeline.render import plan_terminal

    plan_terminal(plan, _console())


if __name__ == "__main__":
    sys.exit(main())
