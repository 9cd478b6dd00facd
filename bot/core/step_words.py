"""A step as it is put before a person: its words, whom to write to, and the draft of the message. Pure.

Plain text without markup; whoever shows it escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.core.policy import format_duration
from bot.core.runbook import Step, unwrapped

PLACES = ("incident", "pipeline", "title", "severity", "since", "verdict", "status")
"""What a draft may leave to be filled in."""


def filled(draft: str, values: Mapping[str, str]) -> str:
    """The draft with `{name}` replaced by its value; a name without a value stays for the person to fill in."""
    for name in PLACES:
        if values.get(name):
            draft = draft.replace("{" + name + "}", values[name])
    return draft


def offered(step: Step, place: int, of: int, address: str, values: Mapping[str, str], note: str = "") -> str:
    """The step as a message. `address` is where its contact is reached, "" for none; `note` stands first."""
    lines = [note] if note else []
    lines.append(f"Step {place} of {of}, for you: {step.title}")
    lines.append(unwrapped(step.prose))
    if step.contact is not None:
        lines.append(f"Write to: {address or 'nobody is named'} (contact {step.contact})")
    if step.draft:
        lines.append(f"Draft:\n{filled(step.draft, values)}")
    if step.remind is not None:
        lines.append(f"You are reminded after {format_duration(step.remind)}.")
    return "\n".join(line for line in lines if line)


def unknown(step: Step) -> str:
    """What stands above a step whose operation was cut off."""
    return f"{step.run} was interrupted, and nobody knows how far it came. Look first, then say how to go on."


def failed(step: Step, error: str) -> str:
    """What stands above a step whose operation did not work."""
    return f"{step.run} did not work: {error} Plan it again, or tick the step off if it was done by hand."


def closed(place: int, of: int, title: str, state: str, note: str = "") -> str:
    """What the step's message says once it waits for nobody any more: what became of it, and the note."""
    return f"Step {place} of {of}, {state}: {title}" + (f"\n{note}" if note else "")
