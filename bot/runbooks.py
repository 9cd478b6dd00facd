"""`python -m bot runbook`: the team's runbooks in the terminal, and a dry run of each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from bot.app import furnish
from bot.core.dry_run import dry_run as walked
from bot.core.errors import BotError
from bot.core.runbook import Runbook, by_name, unwrapped
from bot.desk.house import House
from bot.terminal import placeholder
from pipeline.operations import complete_word


def tell(name: str, *, dry_run: bool, env: Mapping[str, str]) -> int:
    """Print the list, one runbook, or its dry run. 0; 2 for mistakes in the documents or an unknown name."""
    try:
        house = furnish(placeholder(env))
    except BotError as error:
        print(str(error), file=sys.stderr)
        return 2
    if not name:
        for one in house.runbooks:
            print(f"{one.name}: {one.title} ({one.kind}, {len(one.steps)} steps)")
        return 0
    book = by_name(house.runbooks, Path(name).name)
    if book is None:
        names = [one.name for one in house.runbooks]
        guess = complete_word(name, names)
        hint = f"Did you mean {guess}?" if guess else f"There are: {', '.join(names)}."
        print(f"There is no runbook {name}. {hint}", file=sys.stderr)
        return 2
    print("\n".join(_dry(book, house) if dry_run else _read(book)))
    return 0


def _dry(book: Runbook, house: House) -> list[str]:
    contacts = {subject: contact.value for subject, contact in house.roster.contacts.items()}
    return [f"Dry run of {book.title}: nothing is done, nothing is asked.", *walked(book, contacts)]


def _read(book: Runbook) -> list[str]:
    lines = [book.title, "", unwrapped(book.intro)] if book.intro else [book.title]
    for place, step in enumerate(book.steps, 1):
        how = f"runs {step.run}" if step.run else "for a person"
        lines += ["", f"{place}. {step.title} ({how})", unwrapped(step.prose)]
    return lines
