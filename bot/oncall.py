"""Who is on call, for the terminal: the documents, and what people overrode where the database is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from bot.app import furnish
from bot.clock import Clock
from bot.core import groups, oncall_words
from bot.core.errors import ConfigError
from bot.core.oncall import clock
from bot.core.overrides import Override
from bot.core.receipts import Receipt
from bot.core.roster import Roster
from bot.desk.house import House
from bot.desk.live import on_call
from bot.terminal import NoDatabase, placeholder, stored


def oncall(env: Mapping[str, str], *, as_json: bool, tz: str) -> str:
    """The whole answer. Raises ConfigError, and StorageError's kinds."""
    try:
        zone = ZoneInfo(tz)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"{tz!r} is no time zone; write one like Europe/Berlin.") from error
    at = Clock.from_env(env)
    house = furnish(placeholder(env), at.now().date())
    roster, overrides, receipts = _known(env, house)
    now = at.now()
    if as_json:
        return json.dumps(oncall_words.as_json(roster, overrides, receipts, now), indent=2)
    columns, rows, fixed = oncall_words.plan_table(roster, now, zone)
    widths = [max(len(row[n]) for row in [columns, *rows]) for n in range(len(columns))]
    table = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in [columns, *rows]
    ]
    return "\n".join(
        [
            f"On call now, {clock(now, zone)}",
            *oncall_words.standing_lines(roster, now, zone),
            *(oncall_words.override_words(o, zone) for o in overrides),
            *oncall_words.receipt_lines(roster, receipts, now),
            *groups.lines(roster, now),
            *([fixed] if fixed else []),
            *(table if rows else []),
        ]
    )


def _known(env: Mapping[str, str], house: House) -> tuple[Roster, Sequence[Override], Sequence[Receipt]]:
    """With the database; without one that is there, the roster as it is written."""
    try:
        with stored(env) as database:
            return database.read(lambda tx: on_call(tx, house))
    except NoDatabase:
        return house.roster, (), ()
