"""The filter language that Monitoring and Logging share: comparisons with AND, OR, NOT and parentheses.

`parse` gives a function from a record to True or False; a record is a function from a path to its value (or None).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.google.errors import Refused, invalid
from sandbox.google.logs import RANK
from sandbox.google.timeline import parse_instant

Lookup = Callable[[str], object]
Predicate = Callable[[Lookup], bool]

TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\")|(?P<op>!=|>=|<=|=~|!~|=|>|<|:)|(?P<mark>[(),])"
    r"|(?P<word>-?[\w./%+*@-]+))"
)
FUNCTIONS = ("starts_with", "ends_with", "has_substring", "one_of", "monitoring.regex.full_match")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse(text: str) -> Predicate:
    """Understand a filter; empty text lets everything through. Raises Refused INVALID_ARGUMENT."""
    tokens = _tokens(text)
    if not tokens:
        return lambda record: True
    parser = _Parser(tokens)
    predicate = parser.conjunction()
    if parser.rest():
        raise _bad(f"unexpected {parser.rest()!r}")
    return predicate


def comparisons(text: str) -> list[tuple[str, str, str]]:
    """Every plain `path op value` of a filter, for checks on what it restricts. Raises like parse()."""
    tokens = _tokens(text)
    found = []
    for path, op, value in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if path.kind == "word" and op.kind == "op" and value.kind in ("text", "word"):
            found.append((canonical(path.text), op.text, value.text))
    return found


def canonical(path: str) -> str:
    """`resource.label.x` and `metric.label.x` in their plural spelling."""
    return re.sub(r"^(metric|resource)\.label\.", r"\1.labels.", path)


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    while text[position:].strip():
        match = TOKEN.match(text, position)
        if match is None:
            raise _bad(f"cannot read {text[position:].strip()[:20]!r}")
        kind = match.lastgroup or ""
        raw = match.group(kind)
        tokens.append(_Token(kind, re.sub(r"\\(.)", r"\1", raw[1:-1]) if kind == "text" else raw))
        position = match.end()
    return tokens


def _bad(reason: str) -> Refused:
    return invalid(f"Unparseable filter: {reason}.")


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._next = tokens, 0

    def rest(self) -> str:
        return " ".join(token.text for token in self._tokens[self._next :])

    def conjunction(self) -> Predicate:
        parts = [self._disjunction()]
        # Two comparisons side by side are joined by AND, as on separate lines of Logging's console.
        while self._word("AND") or self._starts():
            parts.append(self._disjunction())
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def _disjunction(self) -> Predicate:
        # In Google's filters OR binds tighter than AND (AIP-160), other than in most languages.
        parts = [self._negation()]
        while self._word("OR"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def _negation(self) -> Predicate:
        if self._word("NOT"):
            inner = self._negation()
            return lambda record: not inner(record)
        if self._mark("("):
            inner = self.conjunction()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        path = self._take("word", "text")
        negated = path.startswith("-")
        path = canonical(path.removeprefix("-"))
        if self._peek() is None or self._peek_kind() != "op":
            raise _bad(f"expected a comparison after {path!r}")
        op = self._take("op")
        test = self._values(path, op)
        return (lambda record: not test(record)) if negated else test

    def _values(self, path: str, op: str) -> Predicate:
        if self._mark("("):
            tests = [self._one_value(path, op)]
            while self._word("OR"):
                tests.append(self._one_value(path, op))
            self._expect(")")
            return lambda record: any(test(record) for test in tests)
        return self._one_value(path, op)

    def _one_value(self, path: str, op: str) -> Predicate:
        value = self._take("text", "word")
        if value in FUNCTIONS and self._mark("("):
            arguments = [self._take("text", "word")]
            while self._mark(","):
                arguments.append(self._take("text", "word"))
            self._expect(")")
            return _function(path, op, value, arguments)
        return _test(path, op, value)

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _peek_kind(self) -> str:
        token = self._peek()
        return token.kind if token else ""

    def _starts(self) -> bool:
        token = self._peek()
        return token is not None and (
            (token.kind == "word" and token.text != "OR") or token.kind == "text" or token.text == "("
        )

    def _word(self, word: str) -> bool:
        token = self._peek()
        if token is not None and token.kind == "word" and token.text == word:
            self._next += 1
            return True
        return False

    def _mark(self, mark: str) -> bool:
        token = self._peek()
        if token is not None and token.kind == "mark" and token.text == mark:
            self._next += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._mark(mark):
            raise _bad(f"expected {mark!r}")

    def _take(self, *kinds: str) -> str:
        token = self._peek()
        if token is None or token.kind not in kinds:
            raise _bad(f"unexpected {token.text!r}" if token else "it ends too early")
        self._next += 1
        return token.text


def _function(path: str, op: str, name: str, arguments: list[str]) -> Predicate:
    first = arguments[0]
    pattern = _pattern(first) if name == "monitoring.regex.full_match" else None

    def holds(record: Lookup) -> bool:
        value = record(path)
        text = "" if value is None else str(value)
        if pattern is not None:
            result = pattern.fullmatch(text) is not None
        else:
            result = {
                "starts_with": text.startswith(first),
                "ends_with": text.endswith(first),
                "has_substring": first in text,
                "one_of": text in arguments,
            }[name]
        return result if op == "=" else not result

    return holds


def _test(path: str, op: str, wanted: str) -> Predicate:
    if op in ("=~", "!~"):
        pattern = _pattern(wanted)
        return lambda record: (pattern.search(str(record(path) or "")) is not None) == (op == "=~")
    if op == ":":
        return lambda record: record(path) is not None and wanted.lower() in str(record(path)).lower()
    right = _comparable(path, wanted)

    def holds(record: Lookup) -> bool:
        value = record(path)
        if value is None:
            return op == "!="
        left = _comparable(path, value)
        if isinstance(left, float) and isinstance(right, str):
            try:
                return _compare(op, left, float(right))
            except ValueError:
                return op == "!="
        return _compare(op, left, right)

    return holds


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise _bad(f"bad regular expression {text!r}: {error}") from error


def _comparable(path: str, value: object) -> float | str:
    if isinstance(value, int | float):
        return float(value)
    text = str(value)
    if path == "severity":
        if text.upper() not in RANK:
            raise _bad(f"unknown severity {text!r}")
        return float(RANK[text.upper()])
    if path in ("timestamp", "receiveTimestamp", "receive_timestamp"):
        try:
            return parse_instant(text if "T" in text else f"{text}T00:00:00Z")
        except ValueError as error:
            raise _bad(f"bad timestamp {text!r}") from error
    return text


def _compare(op: str, left: float | str, right: float | str) -> bool:
    if op in ("=", "!="):
        return (left == right) == (op == "=")
    # Mixed types never get here; comparing the pair as tuples keeps the checker and the reader content.
    smaller, equal = (left,) < (right,), left == right
    return {"<": smaller, "<=": smaller or equal, ">": not smaller and not equal, ">=": not smaller}[op]
