"""``python -m bot rehearse``: a story on a virtual clock, told to people, to scripts, or held against a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from bot.app import furnish
from bot.core.errors import BotError
from bot.core.rehearsal import differences, json_lines, text_of
from bot.desk.rehearse import rehearse as play
from bot.documents import DocumentErrors, load_rehearsal
from bot.runbooks import tell
from bot.terminal import placeholder


def rehearse(file: Path, *, as_json: bool, expect: Path | None, env: Mapping[str, str]) -> int:
    """0 when it was played and, with ``expect``, came out as expected; 1 on a difference; 2 on mistakes.

    A runbook (``.md``) is walked through every way without doing anything.
    """
    if file.suffix.lower() == ".md":
        return tell(file.name, dry_run=True, env=env)
    try:
        house = furnish(placeholder({**env, "SMTP_HOST": "", "HOOK_URL": ""}))
        story = play(load_rehearsal(file, house.roster), house)
        wanted = expect.read_text() if expect is not None else None
        different = differences(story, wanted) if wanted is not None else []
    except DocumentErrors as errors:
        print("\n".join(str(mistake) for mistake in errors.mistakes), file=sys.stderr)
        return 2
    except (BotError, OSError, ValueError) as error:
        print(str(error), file=sys.stderr)
        return 2
    print("\n".join(json_lines(story)) if as_json else text_of(story))
    untold = story.unknown_groups() if as_json else ()  # the story has them
    for line in (*untold, *different):
        print(line, file=sys.stderr)
    return 1 if different else 0
