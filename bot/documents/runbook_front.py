"""The front matter of a runbook: what it is for, when it is used, whose it is, and when it is looked at again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from bot.core.policy import Policy
from bot.core.roster import CONTACTS
from bot.core.runbook import KINDS
from bot.documents import policy_file, reader
from bot.documents.markdown import Page
from bot.documents.mistakes import Notes, closest, shown, suggest
from bot.documents.surroundings import Surroundings
from bot.documents.tree import Scalar, Tree, read_tree

KEYS = ("kind", "triggers", "thresholds", "owner", "contacts", "last_reviewed", "next_review")
QUARTER = timedelta(days=92)
"""The longest time between two reviews (operations document, "Update Procedures": at least quarterly)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What the front matter says; what is wrong or missing has its default."""

    kind: str = "other"
    triggers: tuple[str, ...] = ()
    owner: str | None = None
    last_reviewed: date | None = None
    next_review: date | None = None
    thresholds: Mapping[str, str] = field(default_factory=dict)
    contacts: tuple[str, ...] = ()


def read_front(page: Page, known: Surroundings, notes: Notes) -> Front:
    """The front matter of a page; every mistake is noted, and what only needs a look is warned of."""
    tree = read_tree(page.front, notes, first_line=2) if page.front is not None else None
    if tree is None:
        if page.front is not None and not page.front.strip():
            notes.add(1, "the front matter is empty", f"Add `kind:` and one of {', '.join(KINDS)}.")
        return Front()
    found = reader.entries(tree, notes, "the front matter", KEYS)
    given = {key: value for key, value in found.items() if not reader.absent(value)}
    if "kind" not in given:
        notes.add(tree.line, "the front matter has no kind", f"Add `kind:` and one of {', '.join(KINDS)}.")
    kind = reader.choice(given["kind"], notes, "kind", KINDS) if "kind" in given else None
    triggers = reader.items(given["triggers"], notes, "triggers") if "triggers" in given else ()
    last, following = _reviews(tree, given, known, notes)
    return Front(
        kind=kind or "other",
        triggers=tuple(trigger for item in triggers if (trigger := reader.text(item, notes, "a trigger"))),
        owner=_owner(tree, given, known, notes),
        last_reviewed=last,
        next_review=following,
        thresholds=_thresholds(given["thresholds"], known, notes) if "thresholds" in given else {},
        contacts=_contacts(given["contacts"], known, notes) if "contacts" in given else (),
    )


def _owner(tree: Tree, given: Mapping[str, Tree], known: Surroundings, notes: Notes) -> str | None:
    if "owner" not in given:
        notes.warn(tree.line, "nobody owns this runbook", "Add `owner:` and a name or a mailbox.")
        return None
    name = reader.text(given["owner"], notes, "owner")
    if name is not None and known.owners is not None and name.casefold() not in known.owners:
        meant = closest(name, known.owners)
        guess = f"Did you mean {shown(meant)}? " if meant else ""
        remedy = f"{guess}Write a name of `people`, a level such as L2, or an address of roster.yaml (`addresses:`)."
        # An address may be a real team that only the roster does not know; a name that nobody has is a slip.
        note = notes.warn if "@" in name else notes.fault
        note(given["owner"].line, f"the roster knows no owner {shown(name)}", remedy)
    return name


def _reviews(
    tree: Tree, given: Mapping[str, Tree], known: Surroundings, notes: Notes
) -> tuple[date | None, date | None]:
    last = reader.day(given["last_reviewed"], notes, "last_reviewed") if "last_reviewed" in given else None
    following = reader.day(given["next_review"], notes, "next_review") if "next_review" in given else None
    if "next_review" not in given:
        notes.warn(tree.line, "no date is set for the next review", "Add `next_review: 2026-01-31`.")
    if following is None:
        return last, following
    line = given["next_review"].line
    if last and following <= last:
        notes.add(line, "the next review is not after the last", "Set a later date.")
    elif last and following - last > QUARTER:
        remedy = f"A runbook is reviewed at least quarterly: {last + QUARTER} at the latest."
        notes.warn(line, f"the next review is {(following - last).days} days after the last", remedy)
    if known.today is not None and following < known.today:
        remedy = "Read it, mend what is not so any more, and set both dates anew."
        notes.warn(line, f"the review was due on {following}", remedy)
    return last, following


def _thresholds(tree: Tree, known: Surroundings, notes: Notes) -> dict[str, str]:
    """Numbers of the policy that the page tells its readers; the policy stays the one place that decides."""
    valid = policy_file.thresholds(known.policy or Policy())
    told: dict[str, str] = {}
    for path, value in reader.entries(tree, notes, "thresholds", valid).items():
        written = policy_file.threshold(path, value, notes)
        if written is None or not isinstance(value, Scalar):
            continue
        told[path] = value.text.strip()
        if known.policy is not None and written != valid[path]:
            remedy = "Write its value here, or change escalation.yaml: the policy decides."
            notes.warn(value.line, f"{path} is not {shown(told[path])} in the policy", remedy)
    return told


def _contacts(tree: Tree, known: Surroundings, notes: Notes) -> tuple[str, ...]:
    found = (contact(item, known, notes) for item in reader.items(tree, notes, "contacts"))
    return tuple(dict.fromkeys(subject for subject in found if subject is not None))


def contact(tree: Tree, known: Surroundings, notes: Notes) -> str | None:
    """A subject of the roster's contacts, or None after noting that there is no such subject."""
    subject = reader.text(tree, notes, "a contact")
    if subject is None:
        return None
    if subject not in CONTACTS:
        notes.add(tree.line, f"there is no contact {shown(subject)}", suggest(subject, CONTACTS))
        return None
    if known.contacts is not None and subject not in known.contacts:
        remedy = f"Add `{subject}:` under `contacts:` in roster.yaml."
        notes.warn(tree.line, f"the roster names nobody for {shown(subject)}", remedy)
    return subject
