"""The only reader of the files in `runbooks/`: it hands out dataclasses of the core, or every mistake."""

from bot.documents.loading import Documents, load_all, load_policy, load_rehearsal, load_roster, load_runbooks
from bot.documents.mistakes import DocumentErrors, Mistake
from bot.documents.surroundings import Surroundings

__all__ = [
    "DocumentErrors",
    "Documents",
    "Mistake",
    "Surroundings",
    "load_all",
    "load_policy",
    "load_rehearsal",
    "load_roster",
    "load_runbooks",
]
