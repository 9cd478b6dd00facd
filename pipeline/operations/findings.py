"""Which findings each reading can make, by their ids: what a runbook may branch on.

Ids that are made of a name or a number end with `*`.  Operations that are not listed here are not judged.  Besides
these any reading may find `unknown` and `gap_*` (what could not be measured).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.quality import CAUSE_IDS

_ALWAYS: Final = frozenset({"unknown", "gap_*"})
_RATES: Final = frozenset({"error_rate_critical", "error_rate_high", "few_errors", "few_events"})
_CAUSES: Final = frozenset(CAUSE_IDS.values())
_BOTTLENECKS: Final = frozenset({"hot_key", "slow_sink", "workers", "stage", "catching_up"})
_LEAKS: Final = frozenset({"doubled_job", "stuck_job", "idle_job", "forgotten_job", "scaled_up"})

FINDINGS: Final[Mapping[str, frozenset[str]]] = {
    name: found | _ALWAYS
    for name, found in {
        "pipeline.health": _RATES
        | _CAUSES
        | _BOTTLENECKS
        | {
            "stopped",
            "stuck",
            "starting",
            "running",
            "doubled_job",
            "degraded",
            "lag",
            "data_loss",
            "deletion_clock",
            "backlog",
            "waiting",
            "dead_letters",
            "no_dead_letters",
            "resource_issue",
            "data_issue",
            "infrastructure_issue",
            "source_silent",
            "compared",
            "changed",
            "healthy",
        },
        "pipeline.quality": _RATES | _CAUSES | {"empty", "sample", "source_silent"},
        "pipeline.jobs": frozenset({"job", "doubled_job"}),
        "pipeline.logs": frozenset({"group_*"}),
        "pipeline.perf": _BOTTLENECKS
        | {"stopped", "stages", "keeps_up", "worker_count", "backlog", "advice"},
        "dlq.stats": frozenset({"dead_letters", "empty", "deletion_clock", "sample", "ledger"}),
        "dlq.peek": _CAUSES | {"empty", "left"},
        "cost.leaks": _LEAKS | {"none"},
        "cost.forecast": frozenset({"spend", "normal", "cost_spike", "forecast", "export"}),
    }.items()
}
