"""What kind of trouble it is, by what the logs and counters say.  Pure.

The three types are the document's (runbook "Identify Issue Type"): resource, data, infrastructure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.measurements import Counters, LogError, Measurements
from pipeline.quality import CAUSE_WORDS
from pipeline.report import Evidence, duration, percent

IssueType = Literal["resource", "data", "infrastructure"]

# Looked through in this order: a quota that runs out also makes workers unavailable.
_SIGNS: Final[tuple[tuple[IssueType, re.Pattern[str]], ...]] = (
    (
        "resource",
        re.compile(
            r"quota|permission|forbidden|denied|iam\b|RESOURCE_EXHAUSTED|ZONE_RESOURCE_POOL|stockout|out of memory"
            r"|OOM|MemoryError|no space left|disk full|not enough (?:cpu|memory|resources)|exceeded limit",
            re.IGNORECASE,
        ),
    ),
    (
        "data",
        re.compile(
            r"schema|missing (?:required )?field|required field|no such field|invalid (?:value|json|format|timestamp)"
            r"|JSONDecodeError|KeyError|TypeError|ValueError|ValidationError|could not parse|cannot parse|type mismatch"
            r"|utf-?8|Unexpected token",
            re.IGNORECASE,
        ),
    ),
    (
        "infrastructure",
        re.compile(
            r"UNAVAILABLE|connection (?:reset|refused)|timed? ?out|DEADLINE_EXCEEDED|DNS|network|unreachable"
            r"|worker lost|lost contact|preempt|backend error|internal error|50[0234]\b|zone .*outage|stuck",
            re.IGNORECASE,
        ),
    ),
)

_ECHO: Final = re.compile(r"Dead-lettered|Workflow failed|A work item", re.IGNORECASE)
_EXCEPTION: Final = re.compile(r"\b[A-Za-z_.]*(?:Error|Exception|Exceeded|Exhausted|Denied|Unavailable): ")


@dataclass(frozen=True, slots=True)
class Issue:
    """The type of trouble, what tells it, and the reason in one line (masked)."""

    type: IssueType
    reason: str
    evidence: tuple[Evidence, ...]
    cause: str = ""  # which of the runbook's root causes it is, where that is known


def issue_type(m: Measurements) -> Issue | None:
    """What the evidence points to; None when nothing does."""
    counters = m.counters
    if counters and counters.received >= m.limits.least_received:
        ratio = counters.invalid / counters.received
        if ratio > m.limits.error_warning:
            worst = max(counters.by_type, key=lambda kind: counters.by_type[kind][1])
            evidence = [
                Evidence(
                    f"{worst} events invalid in {duration(m.limits.rate_s)}",
                    counters.by_type[worst][1],
                    "events",
                    m.now,
                )
            ]
            cause = root_cause(counters)
            if cause:
                share = counters.causes[cause] / counters.invalid
                evidence.append(Evidence(f"of the invalid, by {CAUSE_WORDS[cause]}", percent(share)))
            why = f"; root cause: {CAUSE_WORDS[cause]}" if cause else ""
            text = f"{percent(ratio)} of the events break a rule, most of them {worst} events{why}"
            return Issue("data", text, tuple(evidence), CAUSE_WORDS.get(cause, ""))
    reason = stop_reason(m.errors) if m.job is None or not m.job.running else None
    if reason is not None and (kind := classify(reason.example)) is not None:
        seen = Evidence(f"log lines like “{reason.shape}”", reason.count, "lines", reason.last)
        return Issue(kind, in_short(reason.example), (seen,))
    weight: dict[IssueType, int] = {}
    first: dict[IssueType, LogError] = {}
    for error in m.errors:
        kind = classify(error.example) or classify(error.shape)
        if kind is not None:
            weight[kind] = weight.get(kind, 0) + error.count
            first.setdefault(kind, error)
    if not weight:
        return None
    heaviest = max(weight, key=lambda one: weight[one])
    sign = first[heaviest]
    return Issue(
        heaviest,
        in_short(sign.example),
        (Evidence(f"log lines like “{sign.shape}”", sign.count, "lines", sign.last),),
    )


def root_cause(counters: Counters) -> str:
    """The root cause of most invalid events, by the pipeline's own counters; empty where it counts none."""
    known = counters.causes
    return max(sorted(known), key=lambda cause: known[cause]) if known else ""


def stop_reason(errors: Sequence[LogError]) -> LogError | None:
    """The error that most probably ended the job: the last one before it ended that says something itself.

    Refused events are the daily business of a pipeline, and "Workflow failed" only points at others.
    """
    telling = [error for error in errors if not _ECHO.match(error.example)]
    return max(telling or list(errors), key=lambda error: (error.last, error.count), default=None)


def in_short(text: str, limit: int = 220) -> str:
    """A log message in one line; of a traceback the exception at its end."""
    if "Traceback (most recent call last)" in text:
        found = list(_EXCEPTION.finditer(text))
        text = text[found[-1].start() :] if found else text
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def classify(text: str) -> IssueType | None:
    """The type of trouble that one log message speaks of."""
    return next((kind for kind, signs in _SIGNS if signs.search(text)), None)
