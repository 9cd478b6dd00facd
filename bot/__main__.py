"""The command line: serve, demo, rehearse, runbook, check, migrate, review, audit."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bot.core.errors import BotError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
audit_app = typer.Typer(
    no_args_is_help=True, help="The evidence: hash chains of the timelines, pages against rules."
)
app.add_typer(audit_app, name="audit")


def _fail(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise SystemExit(2)


@app.command()
def serve() -> None:
    """Serve webhooks, Slack and pages until it is stopped."""
    from bot.serve import serve as run

    try:
        run(os.environ)
    except BotError as error:
        _fail(f"Streamwatch cannot start:\n{error}")


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema; harmless when it is there already."""
    from bot.probe import from_env
    from bot.settings import DEFAULT_DATABASE
    from bot.store.migrate import migrate as run

    try:
        run(os.environ.get("DATABASE_URL") or DEFAULT_DATABASE, from_env(os.environ))
    except BotError as error:
        _fail(str(error))
    print("The database is at the newest schema.")


@app.command()
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="the whole story without a person, then end")] = False,
    scenario: Annotated[str, typer.Option(help="which outage")] = "job_failed",
    port: Annotated[int, typer.Option(help="the sandbox's port; another is taken when it is in use")] = 8400,
    bot_port: Annotated[
        int, typer.Option(help="the bot's port, likewise; its replicas' ports follow")
    ] = 8080,
    replicas: Annotated[int, typer.Option(help="so many bots on PostgreSQL, which are killed in turn")] = 1,
    speed: Annotated[
        float, typer.Option(help="how fast the clock of --exit runs, where not as the scenario has it", min=0)
    ] = 0.0,
    continue_: Annotated[
        bool, typer.Option("--continue", help="go on with a demo that was killed, whatever it was asked for")
    ] = False,
) -> None:
    """Sandbox, bot and an outage on this machine; no Slack workspace and no cloud account."""
    from bot.demo import demo as run
    from bot.demo import take_up

    if continue_:
        raise SystemExit(take_up())
    told = run(exit_=exit_, scenario=scenario, port=port, bot_port=bot_port, replicas=replicas, speed=speed)
    raise SystemExit(told)


@app.command()
def rehearse(
    file: Path,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines")] = False,
    expect: Annotated[
        Path | None, typer.Option(help="JSON lines to compare with; exit 1 on a difference")
    ] = None,
) -> None:
    """Play a scenario on a virtual clock against the real rules: who would be paged, and when."""
    from bot.rehearsal import rehearse as run

    raise SystemExit(run(file, as_json=as_json, expect=expect, env=os.environ))


@app.command()
def runbook(
    name: Annotated[str, typer.Argument(help="the file's name without .md, or nothing for a list")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="every way through it, and what would be done; nothing is")
    ] = False,
) -> None:
    """List the runbooks, read one, or walk every way through it without doing anything."""
    from bot.runbooks import tell

    raise SystemExit(tell(name, dry_run=dry_run, env=os.environ))


@app.command()
def check(as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False) -> None:
    """Check every document and setting, and that all pages reach somebody for a year; exit 1 with each mistake."""
    from bot.checks import check as run

    raise SystemExit(run(os.environ, as_json=as_json))


@app.command()
def oncall(
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
    tz: Annotated[str, typer.Option(help="the zone of days and hours")] = "UTC",
) -> None:
    """Print who holds which level until when, and the next two weeks."""
    from bot.oncall import oncall as run

    try:
        print(run(os.environ, as_json=as_json, tz=tz))
    except BotError as error:
        _fail(str(error))


@app.command()
def statistics(
    days: Annotated[int, typer.Option(help="of how many days", min=1, max=4000)] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="for scripts")] = False,
) -> None:
    """Print what the timelines say: MTTA, MTTR, causes that came again, noisy policies, idle rules, failed steps."""
    from bot.statistics import statistics as run

    try:
        print(run(os.environ, days=days, as_json=as_json))
    except BotError as error:
        _fail(str(error))


@app.command()
def review(incident: str) -> None:
    """Print an incident's review as Markdown."""
    from bot.checks import review as run

    try:
        print(run(incident, os.environ))
    except BotError as error:
        _fail(str(error))


@audit_app.command()
def verify(incident: Annotated[str, typer.Argument(help="INC-7, or nothing for all")] = "") -> None:
    """Recompute the hash chains of timelines and audit book; names the first broken link and exits 1."""
    from bot.checks import verify as run

    try:
        broken = run(incident, os.environ)
    except BotError as error:
        _fail(str(error))
    print(json.dumps(broken) if broken else "Every timeline is intact, and the audit book.")
    raise SystemExit(1 if broken else 0)


@audit_app.command()
def pages(incident: Annotated[str, typer.Argument(help="INC-7, or nothing for all")] = "") -> None:
    """Hold the pages against the rules, by the auditor's own reading; exits 1 where they disagree."""
    from bot.checks import pages as run

    try:
        lines, agree = run(incident, os.environ)
    except BotError as error:
        _fail(str(error))
    print("\n".join(lines))
    raise SystemExit(0 if agree else 1)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()  # what typer loads to read arguments (pydantic) would stay in the server's memory
    else:
        app()
