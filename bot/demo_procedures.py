"""The procedures of the operations document as stories: what breaks, what the bot must find, who presses what.

Beside its eight there is a source that falls silent: a data quality incident in which nothing is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOPIC_METRIC = "pubsub.googleapis.com/topic/send_message_operation_count"
DATAFLOW = "dataflow.googleapis.com/"
HEALTHY: Mapping[str, Any] = {"scenario": "healthy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a person does at a step, by pressing buttons alone.

    `answer` is the answer whose button is pressed ("": the step is done). `meanwhile` happens in the world before, as
    somebody outside mends it. `also` is an operation that a report offers and that is planned and run first.
    `approve` is who approves what destroys.
    """

    says: str
    answer: str = ""
    meanwhile: Mapping[str, Any] = field(default_factory=dict)
    also: str = ""
    approve: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """One story. `world` broke `since_min` minutes before the alert; `path` is the way through the runbook, by its
    steps; `finds` is what the step that chooses the branch must name. `alert` is (policy, metric, value, threshold,
    severity), `below` which side of the threshold is bad, `resource` what it is of, called `named` (else the job); no
    alert: a budget tells of it."""

    name: str
    runbook: str
    world: Mapping[str, Any]
    since_min: int
    path: tuple[str, ...]
    finds: str
    moves: Mapping[str, Move]
    alert: tuple[str, str, str, str, str] | tuple[()] = ()
    below: bool = False
    named: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)


def _all(*procedures: Procedure) -> Mapping[str, Procedure]:
    return {one.name: one for one in procedures}


PROCEDURES = _all(
    Procedure(
        name="pipeline-health",
        runbook="pipeline-health",
        world={"scenario": "job_failed"},
        since_min=4,
        alert=("Orders pipeline stopped", DATAFLOW + "job/is_failed", "1.000", "0", "critical"),
        finds="failed",
        path=(
            "check-pipeline-status", "read-the-recent-logs", "identify-the-issue-type", "restart-the-pipeline",
            "confirm-the-recovery", "bring-the-dead-letters-back", "close-the-incident",
        ),
        moves={
            "restart-the-pipeline": Move(says="reads the plan and restarts the pipeline"),
            "bring-the-dead-letters-back": Move(says="brings the dead letters back"),
            "close-the-incident": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="data-quality",
        runbook="data-quality",
        world={"scenario": "new_required_field"},
        since_min=8,
        alert=("Orders error rate is high", DATAFLOW + "job/user_counter", "0.310", "0.1", "warning"),
        finds="required field",
        path=(
            "assess-the-impact", "count-the-dead-letters", "identify-the-root-cause", "handle-a-missing-field",
            "contain-the-damage", "turn-on-detailed-logging", "notify-the-data-source-owners",
            "tell-the-business-stakeholders", "reprocess-valid-events", "turn-detailed-logging-off",
            "confirm-the-quality", "close-the-incident",
        ),
        moves={
            "handle-a-missing-field": Move(says="compares the examples: the source stopped sending the field"),
            "turn-on-detailed-logging": Move(
                says="sees the cause in the examples; no more logs are needed", answer="not_needed"
            ),
            "notify-the-data-source-owners": Move(says="sends the owners of the source the draft"),
            "tell-the-business-stakeholders": Move(
                says="tells the business; the source sends the field again",
                answer="the_source_mends_it",
                meanwhile=HEALTHY,
            ),
            "reprocess-valid-events": Move(says="reprocesses what is valid"),
            "turn-detailed-logging-off": Move(says="says that it was never on", answer="it_was_never_on"),
            "close-the-incident": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="silent-source",
        runbook="data-quality",
        world={"scenario": "silent_source"},
        since_min=14,
        alert=("Clicks are not published", TOPIC_METRIC, "0", "1", "warning"),
        below=True,
        named="clicks",
        resource={"type": "pubsub_topic", "labels": {"topic_id": "clicks", "project_id": "demo-project"}},
        finds="source of clicks is silent",
        path=("assess-the-impact", "ask-the-silent-source", "confirm-the-quality", "close-the-incident"),
        moves={
            "ask-the-silent-source": Move(
                says="sends the owners the draft; they start their publisher again",
                answer="it_sends_again",
                meanwhile=HEALTHY,
            ),
            "close-the-incident": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="cost-spike",
        runbook="cost-spike",
        world={"scenario": "cost_spike"},
        since_min=30,
        finds="went from 2 to 6 workers",
        path=(
            "assess-the-costs", "look-for-leaks", "scale-down", "compare-with-normal", "identify-the-cause",
            "name-the-cause", "set-an-upper-limit", "note-what-saves-in-the-long-run", "confirm-the-costs",
            "close-the-incident",
        ),
        moves={
            "scale-down": Move(says="takes the number of workers back", also="pipeline.scale"),
            "name-the-cause": Move(says="names the cause", answer="scaling"),
            "set-an-upper-limit": Move(says="keeps the limit that was just set"),
            "note-what-saves-in-the-long-run": Move(says="notes what saves in the long run"),
            "close-the-incident": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="performance",
        runbook="performance",
        world={"scenario": "hot_key"},
        since_min=20,
        alert=("Orders is slow", DATAFLOW + "job/system_lag", "380.0", "120", "warning"),
        finds="hot key",
        path=(
            "look-at-the-pipeline", "look-at-the-jobs", "find-the-bottleneck", "spread-the-hot-key",
            "confirm-the-recovery", "measure-what-it-can-do", "close-the-incident",
        ),
        moves={
            "spread-the-hot-key": Move(says="spreads the hot key", meanwhile=HEALTHY),
            "measure-what-it-can-do": Move(says="leaves the load test for when this is resolved"),
            "close-the-incident": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="wont-start",
        runbook="wont-start",
        world={"scenario": "job_failed", "cause": "quota"},
        since_min=4,
        alert=("Orders pipeline does not start", DATAFLOW + "job/is_failed", "1.000", "0", "critical"),
        finds="quota",
        path=(
            "read-what-the-launch-said", "validate-the-configuration", "mend-the-first-thing-that-fails",
            "look-at-the-jobs", "start-it", "confirm-that-it-runs", "close-the-matter",
        ),
        moves={
            "mend-the-first-thing-that-fails": Move(
                says="has the quota raised", answer="it_is_mended", meanwhile={"restart": "ok"}
            ),
            "start-it": Move(says="reads the plan and starts the pipeline"),
            "close-the-matter": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="high-error-rate",
        runbook="high-error-rate",
        world={"scenario": "invalid_format"},
        since_min=8,
        alert=("Orders dead letters pile up", DATAFLOW + "job/user_counter", "0.310", "0.1", "warning"),
        finds="invalid format",
        path=(
            "measure-the-error-rate", "examine-the-dead-letter-queue", "check-the-data-formats",
            "check-whether-the-source-changed", "send-the-valid-ones-back", "look-at-what-is-left",
            "review-what-is-left", "delete-after-review", "close-the-matter",
        ),
        moves={
            "check-whether-the-source-changed": Move(
                says="writes to the source, which goes back", answer="they_go_back", meanwhile=HEALTHY
            ),
            "send-the-valid-ones-back": Move(says="sends back what is valid"),
            "review-what-is-left": Move(says="reads what is left: nobody will need it", answer="it_may_go"),
            "delete-after-review": Move(says="has it exported and deleted", approve="carol"),
            "close-the-matter": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="high-latency",
        runbook="high-latency",
        world={"scenario": "slow_sink"},
        since_min=14,
        alert=("Orders arrive late", DATAFLOW + "job/data_watermark_age", "410.0", "300", "warning"),
        finds="slow sink: WriteToBigQuery",
        path=(
            "look-at-the-backlog", "check-the-use-of-resources", "name-the-sink", "write-in-batches",
            "confirm-the-latency", "close-the-matter",
        ),
        moves={
            "name-the-sink": Move(says="reads it in the report", answer="bigquery"),
            "write-in-batches": Move(says="writes in larger batches", meanwhile=HEALTHY),
            "close-the-matter": Move(says="closes the matter"),
        },
    ),
    Procedure(
        name="cost-overruns",
        runbook="cost-overruns",
        world={"scenario": "doubled_job"},
        since_min=30,
        alert=("Orders costs more than planned", DATAFLOW + "job/active_worker_instances", "4.000", "2", "warning"),
        finds="2 living jobs of one pipeline",
        path=(
            "analyse-the-pattern", "identify-the-drivers", "look-for-leaks", "stop-what-nobody-needs",
            "name-the-driver", "set-autoscaling", "use-committed-use-discounts", "forecast-the-month",
            "close-the-matter",
        ),
        moves={
            "stop-what-nobody-needs": Move(says="drains the second job", also="pipeline.drain"),
            "name-the-driver": Move(says="names what drives the costs", answer="resources"),
            "set-autoscaling": Move(says="keeps the bounds"),
            "use-committed-use-discounts": Move(says="sends the business the draft"),
            "close-the-matter": Move(says="closes the matter"),
        },
    ),
)  # fmt: skip
