"""What can be asked of a configuration and a database from the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from bot.app import furnish
from bot.clock import Clock
from bot.core import groups
from bot.core import review as reviews
from bot.core.auditor import Audit, audit
from bot.core.errors import BotError, ConfigError, StorageUnavailable
from bot.core.overrides import Override
from bot.core.readiness import Readiness, examine
from bot.core.roster import Roster, group_refs
from bot.core.text import counted
from bot.desk.house import House
from bot.desk.live import known_groups
from bot.settings import Settings, read
from bot.terminal import NoDatabase, incident_number, placeholder, stored


def check(env: Mapping[str, str], *, as_json: bool = False) -> int:
    """Documents first, then whether they reach somebody all year, then settings; prints what is wrong. 1 for
    a mistake, else 0: a warning keeps nobody from starting.

    Whoever edits documents has no Slack app at hand: where nothing is set for Slack, settings are not judged.
    """
    found, mistakes, warnings, house = _read(env)
    settings: Settings | None = None
    if not any(env.get(name) for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN")):
        warnings.append("SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET are not set, so settings are not checked.")
    else:
        try:
            settings, doubts = read(env)
        except ConfigError as error:
            mistakes += str(error).splitlines()
        else:
            warnings += doubts
    ready, overrides = None, Overrides((), "the documents have mistakes")
    if house is not None:
        mistakes += house.faults
        now = Clock.from_env(env).now()
        overrides = _overrides(env)
        house = replace(house, roster=_with_members(env, settings, house.roster, now))
        ready = examine(house.roster, house.policy, now, overrides=overrides.found)
        if overrides.unread:
            warnings.append(f"Overrides and swaps are left out: {overrides.unread}.")
        mistakes += [finding.words() for finding in ready.mistakes]
        warnings += [finding.words() for finding in ready.findings if finding.severity == "warning"]
    if settings is not None:
        warnings += _in_slack(settings, house)
    if as_json:
        print(json.dumps(_as_json(found, mistakes, warnings, ready, overrides), indent=2))
    else:
        for line in (
            ([found] if found else []) + _proof(ready, overrides) + [f"warning: {each}" for each in warnings]
        ):
            print(line)
        for mistake in mistakes:
            print(mistake, file=sys.stderr)
    return 1 if mistakes else 0


class Overrides(NamedTuple):
    """Those that stand or are to come, or why nobody knows."""

    found: Sequence[Override]
    unread: str


def _overrides(env: Mapping[str, str]) -> Overrides:
    """What people changed in Slack stands in the database alone, which whoever edits documents may not reach."""
    try:
        with stored(env) as database:
            return Overrides(database.read(lambda tx: tx.overrides(tx.now())), "")
    except NoDatabase:
        return Overrides((), "there is no database here (DATABASE_URL)")
    except BotError as error:
        return Overrides((), f"the database cannot be read ({str(error).rstrip('.')})")


def _proof(ready: Readiness | None, overrides: Overrides) -> list[str]:
    if ready is None or ready.mistakes:
        return []
    days = (ready.end - ready.begin).days
    spans = f"{counted(ready.spans, 'span')} between hand-overs"
    if not overrides.unread:
        spans += f", with {counted(len(overrides.found), 'override')}"
    return [f"Every page of the policy reaches somebody, at every instant of the next {days} days ({spans})."]


def _as_json(
    found: str,
    mistakes: Sequence[str],
    warnings: Sequence[str],
    ready: Readiness | None,
    overrides: Overrides,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "documents": found or None,
        "mistakes": list(mistakes),
        "warnings": list(warnings),
    }
    if ready is not None:
        told["on_call"] = {
            "from": ready.begin.isoformat(),
            "to": ready.end.isoformat(),
            "spans": ready.spans,
            "overrides": None if overrides.unread else len(overrides.found),
            "findings": [finding.as_json() for finding in ready.findings],
        }
    return told


def _in_slack(settings: Settings, house: House | None) -> list[str]:
    """Which people of the roster Slack does not know; one line that it could not be asked."""
    from bot.slack.known import unknown

    if house is None:
        return []
    # Members of groups come from Slack itself.
    known = {name for group in house.roster.members.values() for name in group.names}
    people = house.roster.people
    refs = {p.slack: name for name, p in people.items() if p.slack and name not in known}
    strangers, trouble = unknown(settings.slack_bot_token, settings.slack_api_url, list(refs))
    lines = [f"Slack does not know {refs[ref]} ({ref}); nothing reaches them there." for ref in strangers]
    return [*lines, f"Slack could not be asked who is there: {trouble}."] if trouble else lines


def _with_members(env: Mapping[str, str], settings: Settings | None, roster: Roster, now: datetime) -> Roster:
    """The roster with the members of its user groups: as Slack has them now, else as the bot last read them."""
    from bot.slack.known import groups as ask

    refs = group_refs(roster)
    if not refs:
        return roster
    known = groups.NOTHING
    with contextlib.suppress(BotError), stored(env) as database:
        known = database.read(known_groups)
    if settings is not None:
        read, error = ask(settings.slack_bot_token, settings.slack_api_url, refs, now)
        known = groups.after(known, read, error, now)
    return groups.with_groups(roster, known)


def documents(env: Mapping[str, str]) -> tuple[str, list[str], list[str]]:
    """What the folder of runbooks holds, in one line, the mistakes of its files, and what only needs a look;
    whatever else is set."""
    found, mistakes, doubts, _ = _read(env)
    return found, mistakes, doubts


def _read(env: Mapping[str, str]) -> tuple[str, list[str], list[str], House | None]:
    """The same, with what was read; None where there are mistakes."""
    settings = placeholder(env)
    directory = settings.runbooks_dir
    try:
        house = furnish(settings, Clock.from_env(env).now().date())
    except ConfigError as error:
        return "", str(error).splitlines(), [], None
    told = counted(len(house.faults), "mistake") if house.faults else "no mistake"
    said = (
        f"{directory}: {counted(len(house.runbooks), 'runbook')}, {counted(len(house.pipelines), 'pipeline')}, "
        f"{len(house.roster.people)} people, {counted(len(house.policy.rules), 'rule')}: {told}."
    )
    return said, [], list(house.warnings), house


def review(incident: str, env: Mapping[str, str]) -> str:
    """The review as Markdown. Raises BotError when there is no such incident."""
    number = incident_number(incident)
    with stored(env) as database:
        found = database.read(lambda tx: (tx.incident(number, lock=False), tx.events(number)))
    if found[0] is None:
        raise StorageUnavailable(f"There is no INC-{number} in this database.")
    return reviews.draft(found[0], found[1])


def verify(incident: str, env: Mapping[str, str]) -> dict[str, Any] | None:
    """The first broken link, or None."""
    number = incident_number(incident) if incident else None
    with stored(env) as database:
        broken = database.read(lambda tx: tx.verify(number))
    if broken is None:
        return None
    return {name: getattr(broken, name) for name in type(broken).__dataclass_fields__}


def pages(incident: str, env: Mapping[str, str]) -> tuple[list[str], bool]:
    """What the auditor finds of the pages of one incident, or of all, in words; and whether it agrees."""
    number = incident_number(incident) if incident else None
    with stored(env) as database:

        def read(tx: Any) -> list[Audit]:
            numbers = [number] if number is not None else [i.id for i in tx.incidents(limit=1_000_000)]
            return [audit(n, tx.events(n), tx.now()) for n in sorted(numbers)]

        audits = database.read(read)
    found = [finding for one in audits for finding in one.findings]
    made = sum(one.pages for one in audits)
    head = f"{counted(made, 'page')} of {counted(len(audits), 'incident')} held against the rules"
    odd = [finding for one in audits for finding in one.disagreements]
    if not odd:
        head += ": every page that was due was made, none twice, none without a rule"
    return [f"{head}.", *(f"{finding.kind}: {finding.words()}" for finding in found)], not odd
