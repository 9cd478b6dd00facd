"""The statistics of the incidents, for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bot.app import furnish
from bot.core import statistics_words
from bot.desk.round_notes import patterns
from bot.terminal import placeholder, stored


def statistics(env: Mapping[str, str], *, days: int, as_json: bool) -> str:
    """Words, or JSON; of private incidents nothing. Raises BotError."""
    house = furnish(placeholder(env))
    with stored(env) as database:
        found = database.read(lambda tx: patterns(tx, house, days))
    return (
        json.dumps(statistics_words.as_json(found), indent=2)
        if as_json
        else "\n".join(statistics_words.lines(found))
    )
