"""What a runbook is judged against: the operations there are, the people there are, the policy, the day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from bot.core.policy import Policy
from bot.core.runbook import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`contacts` are the subjects that the roster names somebody for, `owners` whatever it knows somebody by, in
    small letters. None for them, policy or today: not known, so nothing is held against them.
    """

    operations: Mapping[str, Known] = field(default_factory=dict)
    contacts: frozenset[str] | None = None
    owners: frozenset[str] | None = None
    policy: Policy | None = None
    today: date | None = None
