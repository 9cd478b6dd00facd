"""Loads the documents of a folder; every mistake in every file is told at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from bot.core import roster as rosters
from bot.core.policy import Policy
from bot.core.rehearsal import Rehearsal
from bot.core.roster import Roster
from bot.core.runbook import Runbook
from bot.documents.files import read_text
from bot.documents.mistakes import DocumentErrors, Mistake, Notes
from bot.documents.policy_file import read_limits, read_policy
from bot.documents.rehearsal_file import read_rehearsal
from bot.documents.roster_file import read_roster
from bot.documents.runbook_file import read_runbook
from bot.documents.surroundings import Surroundings
from bot.documents.tree import Tree, read_tree
from pipeline.thresholds import Thresholds as Limits

POLICY_FILE = "escalation.yaml"
ROSTER_FILE = "roster.yaml"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What a team has written down: its runbooks by file name, its policy and its roster.

    `warnings` keep nobody from using them: a review that is overdue, a number that the policy has changed. Nor do
    `faults`, an owner who is nobody; but a check fails for them.
    """

    runbooks: tuple[Runbook, ...]
    policy: Policy
    roster: Roster
    limits: Limits  # by which what is measured of a pipeline is judged
    warnings: tuple[Mistake, ...] = ()
    faults: tuple[Mistake, ...] = ()


def load_policy(path: Path) -> Policy:
    """The policy of this file. Raises DocumentErrors with every mistake in it."""
    return _yaml(path, read_policy)


def load_limits(path: Path) -> Limits:
    """The thresholds of the same file. Raises DocumentErrors with every mistake in it."""
    return _yaml(path, read_limits)


def load_roster(path: Path) -> Roster:
    """The roster of this file. Raises DocumentErrors with every mistake in it."""
    return _yaml(path, read_roster)


def load_rehearsal(path: Path, roster: Roster | None = None) -> Rehearsal:
    """The rehearsal of this file. `roster` is the one that stands, to check who acts; None checks nothing.

    Raises DocumentErrors with every mistake in it.
    """
    return _yaml(path, lambda tree, notes: read_rehearsal(path.stem, tree, roster, notes))


def load_runbooks(
    directory: Path,
    known: Surroundings,
    warnings: list[Mistake] | None = None,
    faults: list[Mistake] | None = None,
) -> tuple[Runbook, ...]:
    """All runbooks of the folder (`*.md` but README.md), by name.

    What only needs a look is put into `warnings`. Raises DocumentErrors with every mistake in all of them.
    """
    runbooks, mistakes = [], []
    if not directory.is_dir():
        notes = Notes(str(directory))
        notes.add(
            0, "the folder is missing", "Create it, or set RUNBOOKS_DIR to the folder of your runbooks."
        )
        raise DocumentErrors(notes.mistakes)
    for path in sorted(directory.glob("*.md")):
        if path.name.lower() == "readme.md":
            continue
        notes = Notes(str(path))
        text = read_text(path, notes)
        if text is not None:
            runbooks.append(read_runbook(path.stem, text, known, notes))
        mistakes += notes.mistakes
        if warnings is not None:
            warnings += notes.warnings
        if faults is not None:
            faults += notes.faults
    if mistakes:
        raise DocumentErrors(mistakes)
    return tuple(runbooks)


def load_all(directory: Path, known: Surroundings) -> Documents:
    """Runbooks, policy and roster of the folder. Raises DocumentErrors with the mistakes of all files.

    The runbooks are judged by this folder's roster and policy, whatever `known` says of them.
    """
    mistakes: list[Mistake] = []
    warnings: list[Mistake] = []
    faults: list[Mistake] = []
    policy = _gather(lambda: load_policy(directory / POLICY_FILE), mistakes)
    roster = _gather(lambda: load_roster(directory / ROSTER_FILE), mistakes)
    contacts = frozenset(roster.contacts) if roster is not None else None
    owners = rosters.owners(roster) if roster is not None else None
    around = replace(known, policy=policy, contacts=contacts, owners=owners)
    runbooks = _gather(lambda: load_runbooks(directory, around, warnings, faults), mistakes)
    if runbooks is None or policy is None or roster is None:
        raise DocumentErrors(mistakes)
    # load_policy has told the mistakes of these keys already
    limits = load_limits(directory / POLICY_FILE)
    return Documents(
        runbooks=runbooks,
        policy=policy,
        roster=roster,
        limits=limits,
        warnings=tuple(sorted(warnings)),
        faults=tuple(sorted(faults)),
    )


def _gather(load: Callable[[], _T], mistakes: list[Mistake]) -> _T | None:
    try:
        return load()
    except DocumentErrors as errors:
        mistakes += errors.mistakes
        return None


def _yaml(path: Path, read: Callable[[Tree, Notes], _T]) -> _T:
    notes = Notes(str(path))
    text = read_text(path, notes)
    tree = read_tree(text, notes) if text is not None else None
    if tree is None:
        if not notes:
            notes.add(1, "the file is empty", "Write the keys that it needs; the shipped file shows them.")
        raise DocumentErrors(notes.mistakes)
    value = read(tree, notes)
    if notes:
        raise DocumentErrors(notes.mistakes)
    return value
