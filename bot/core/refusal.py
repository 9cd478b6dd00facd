"""A refusal: what somebody asked for cannot be, and why, and what they can do instead."""

from __future__ import annotations


class Refused(Exception):
    """Nothing was changed. ``reason`` is one sentence; ``remedy`` says what to do, or is empty."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason} {remedy}".strip())
        self.reason = reason
        self.remedy = remedy
