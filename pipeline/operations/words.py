"""Reading flags, the same way in the terminal and in Slack.

``--limit 50``, ``--limit=50``, ``--dry-run``, ``--rule X``; one bare word is the pipeline's name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.errors import UsageError
from pipeline.operations.base import COMMON, COMMON_CHANGE, Operation, Param, Risk

# What phones and Slack make of two hyphens and of straight quotes.
_DASHES = ("——", "—", "––", "–", "−−")


def flags(operation: Operation) -> tuple[Param, ...]:
    """Every flag that the operation understands, its own first."""
    common = COMMON if operation.risk is Risk.READ else (*COMMON, *COMMON_CHANGE)
    own = {param.name for param in operation.params}
    return (*operation.params, *(param for param in common if param.name not in own))


def parse(operation: Operation, tokens: Sequence[str]) -> dict[str, Any]:
    """The parameters that the words name.

    Out: every parameter of the operation, with its default where it is not named, and those
    common ones (pipeline, json, dry_run, yes, confirm, break_glass, help) that were named.
    UsageError, with a suggestion, for what is not understood.
    """
    known = {param.flag: param for param in flags(operation)}
    out: dict[str, Any] = {param.name: param.default for param in operation.params}
    waiting = list(tokens)
    bare: list[str] = []
    seen: set[str] = set()
    while waiting:
        token = _dashed(waiting.pop(0))
        if not token.startswith("-") or token == "-":
            bare.append(token)
            continue
        flag, has_value, value = token.partition("=")
        param = known.get("--help" if flag == "-h" else flag)
        if param is None:
            raise UsageError(_unknown_flag(operation, flag, known))
        if param.name in seen:
            raise UsageError(f"{param.flag} is given twice.")
        seen.add(param.name)
        out[param.name] = _value(param, value if has_value else None, waiting)
    _bare_words(operation, out, bare)
    return out


def own(operation: Operation, params: Mapping[str, Any]) -> dict[str, Any]:
    """Of parsed parameters, those that belong to the operation itself, defaults filled in."""
    return {param.name: params.get(param.name, param.default) for param in operation.params}


def complete_word(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    words = sorted(set(known))
    starts = [one for one in words if word and one.startswith(word)]
    if len(starts) == 1:
        return starts[0]
    if begun := [one for one in words if len(one) > 2 and word.startswith(one)]:
        return max(begun, key=len)
    close = difflib.get_close_matches(word, words, 1, cutoff=0.5)
    return close[0] if close else None


def usage(operation: Operation) -> str:
    """The line that says how to write it: "dlq replay [--limit N] [--dry-run] ..."."""
    parts = [" ".join(operation.words)]
    for param in flags(operation):
        if param.name not in ("json", "help"):
            parts.append(f"[{param.flag}]" if param.type is bool else f"[{param.flag} {_placeholder(param)}]")
    return " ".join(parts)


def _placeholder(param: Param) -> str:
    if param.choices:
        return "|".join(param.choices)
    named = {"break_glass": "REASON", "confirm": "NAME", "pipeline": "NAME"}
    return "N" if param.type in (int, float) else named.get(param.name, param.name.split("_")[-1].upper())


def _dashed(token: str) -> str:
    for dash in _DASHES:
        if token.startswith(dash):
            return "--" + token.removeprefix(dash)
    return token


def _bare_words(operation: Operation, out: dict[str, Any], words: Sequence[str]) -> None:
    """What was said without a flag: for most operations the pipeline's name."""
    try:
        if operation.every_pipeline and words:
            raise UsageError(f"{words[0]!r} is one word too many.")
        said = operation.bare(words)
        if said.get("pipeline") and out.get("pipeline"):
            raise UsageError(f"{said['pipeline']!r} is one word too many.")
    except UsageError as error:
        raise UsageError(f"{error} Usage: {usage(operation)}") from error
    out.update(said)


def _unknown_flag(operation: Operation, flag: str, known: Mapping[str, Param]) -> str:
    guess = complete_word(flag, known)
    hint = f" Did you mean {guess}?" if guess else f" It knows: {', '.join(known)}."
    return f"{' '.join(operation.words)} does not know {flag}.{hint}"


def _value(param: Param, given: str | None, waiting: list[str]) -> Any:
    if param.type is bool:
        if given is None:
            return True
        if given.lower() in ("true", "yes", "1", "on"):
            return True
        if given.lower() in ("false", "no", "0", "off"):
            return False
        raise UsageError(f"{param.flag} is yes or no, not {given!r}.")
    if given is None:
        if not waiting or _dashed(waiting[0]).startswith("--"):
            raise UsageError(f"{param.flag} needs a value: {param.help}.")
        given = waiting.pop(0)
    if param.choices and given not in param.choices:
        guess = complete_word(given, param.choices)
        hint = f" Did you mean {guess}?" if guess else ""
        raise UsageError(f"{param.flag} is one of {', '.join(param.choices)}, not {given!r}.{hint}")
    if param.type is str:
        if not given.strip():
            raise UsageError(f"{param.flag} needs a value: {param.help}.")
        return given
    return _number(param, given)


def _number(param: Param, given: str) -> int | float:
    text = given.replace(",", "").replace("_", "")
    try:
        value = int(text) if param.type is int else float(text)
    except ValueError:
        kind = "a whole number" if param.type is int else "a number"
        raise UsageError(f"{param.flag} is {kind}, not {given!r}.") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise UsageError(f"{param.flag} is a number, not {given!r}.")
    if param.minimum is not None and value < param.minimum:
        raise UsageError(f"{param.flag} is at least {param.minimum:g}, not {given}.")
    if param.maximum is not None and value > param.maximum:
        raise UsageError(f"{param.flag} is at most {param.maximum:g}, not {given}.")
    return value
