"""Faults on demand: what the Web API does wrong, for which method, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.slack.errors import Refused
from sandbox.slack.model import Json

KINDS = ("ratelimited", "http_500", "http_503", "reset", "timeout", "slow", "error")
TIMEOUT_SECONDS = 60.0
SLOW_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class Fault:
    """One planned fault. With `after_accept` the state changes first, and only the answer fails."""

    method: str
    kind: str
    error: str
    count: int
    retry_after: int
    after_accept: bool

    def describe(self) -> Json:
        """The fault as JSON, with the number of times left."""
        return {name: getattr(self, name) for name in Fault.__slots__}


class Faults:
    """The faults that stand, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.items: list[Fault] = []

    def add(self, body: Json, known: frozenset[str]) -> Fault:
        """Plan a fault from the body of POST /sim/faults; `known` are the method names. Raises Refused."""
        method, kind = body.get("method", "*"), body.get("kind")
        if not isinstance(method, str) or method not in known | {"*"}:
            raise Refused(f"unknown method {method!r}; '*' means every method")
        if kind not in KINDS:
            raise Refused(f"kind must be one of {', '.join(KINDS)}")
        count, retry_after = body.get("count", 1), body.get("retry_after", 1)
        for name, value in (("count", count), ("retry_after", retry_after)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise Refused(f"{name} must be a whole number of 0 or more")
        error = body.get("error", "internal_error")
        if not isinstance(error, str) or not error:
            raise Refused("error must be a name such as internal_error")
        fault = Fault(
            method=method,
            kind=str(kind),
            error=error,
            count=count,
            retry_after=retry_after,
            after_accept=bool(body.get("after_accept", False)),
        )
        self.items.append(fault)
        return fault

    def take(self, method: str) -> Fault | None:
        """The first fault that fits, used up by one; None when none stands."""
        for fault in self.items:
            if fault.method in ("*", method) and fault.count > 0:
                fault.count -= 1
                if fault.count == 0:
                    self.items.remove(fault)
                return fault
        return None
