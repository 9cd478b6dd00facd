"""Injected errors: the next so many calls of a method are refused, before they do anything."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.google.errors import Refused
from sandbox.google.scenarios import Injection


@dataclass(slots=True)
class _Standing:
    injection: Injection
    left: int


class Faults:
    """The injections that are still standing. Not thread-safe."""

    def __init__(self) -> None:
        self._standing: list[_Standing] = []

    def add(self, injection: Injection) -> None:
        """Let it count down from now on."""
        self._standing.append(_Standing(injection, injection.count))

    def clear(self) -> None:
        """Take back what is still standing."""
        self._standing.clear()

    def check(self, full_method: str) -> None:
        """Raise Refused when an injection meets this call ("/package.Service/Method")."""
        for standing in self._standing:
            if standing.left > 0 and _meets(standing.injection.method, full_method):
                standing.left -= 1
                raise Refused(standing.injection.code, standing.injection.message)

    def describe(self) -> list[dict[str, object]]:
        """What is still to come."""
        return [
            {"method": s.injection.method, "code": s.injection.code, "left": s.left}
            for s in self._standing
            if s.left > 0
        ]


def _meets(pattern: str, full_method: str) -> bool:
    service, _, method = full_method.strip("/").partition("/")
    short = service.rsplit(".", 1)[-1]
    return pattern.strip("/") in (
        "*",
        method,
        service,
        short,
        f"{service}/{method}",
        f"{short}/{method}",
        f"{short}.{method}",
    )
