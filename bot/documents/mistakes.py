"""Mistakes in documents: where, what, and the remedy. They are gathered, so that all are told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mistake:
    """One mistake. `line` counts from 1; 0 stands for the file as a whole (it is missing, say)."""

    file: str
    line: int
    text: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.text}. {self.remedy}"


class DocumentErrors(Exception):
    """The documents cannot be used. `mistakes` holds all of them, ordered by file and line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: tuple[Mistake, ...] = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class Notes:
    """Gathers the mistakes of one file while it is read, and what is only worth a word."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self.faults: list[Mistake] = []

    def add(self, line: int, text: str, remedy: str) -> None:
        """Note a mistake at this line of the file."""
        self.mistakes.append(Mistake(file=self.file, line=line, text=text, remedy=remedy))

    def warn(self, line: int, text: str, remedy: str) -> None:
        """Note what should be looked at, and keeps nobody from using the file."""
        self.warnings.append(Mistake(file=self.file, line=line, text=text, remedy=remedy))

    def fault(self, line: int, text: str, remedy: str) -> None:
        """Note a mistake that fails a check, and all the same keeps no bot from starting."""
        self.faults.append(Mistake(file=self.file, line=line, text=text, remedy=remedy))

    def __bool__(self) -> bool:
        return bool(self.mistakes)


def shown(text: str, limit: int = 60) -> str:
    """Text of a file, quoted and cut for a message."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= limit else line[: limit - 1] + '…'}”"


def closest(word: str, options: Iterable[str]) -> str | None:
    """The option that was probably meant, or None."""
    by_folded = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(word[:200].casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def suggest(word: str, options: Iterable[str]) -> str:
    """A remedy for an unknown word: the nearest known one, else all that are possible."""
    known = list(options)
    meant = closest(word, known)
    if meant is not None:
        return f"Did you mean {shown(meant)}?"
    return f"Possible here: {', '.join(known)}." if known else "Nothing is possible here; remove it."
