"""How a run finds its way through a runbook."""

import pytest

from bot.core.runbook import (
    Branch,
    Runbook,
    Step,
    by_name,
    choose_next,
    for_kind,
    label_of,
    reachable,
    unwrapped,
)


def _step(step_id: str, risk: str | None, following: str | None, *branches: Branch) -> Step:
    run = "pipeline.x" if risk else None
    return Step(
        id=step_id,
        title=step_id,
        prose="",
        line=1,
        run=run,
        risk=risk,
        branches=branches,
        following=following,
    )


LOOK = _step("look", "read", "logs")
LOGS = _step("logs", "read", "decide")
DECIDE = _step(
    "decide", "read", "restart", Branch("stopped", "restart"), Branch("warning", "ask"), Branch("else", None)
)
RESTART = _step("restart", "change", "ask")
ASK = _step("ask", None, None)
BOOK = Runbook(
    name="pipeline-health", title="Health", kind="health", steps=(LOOK, LOGS, DECIDE, RESTART, ASK)
)


@pytest.mark.parametrize(
    ("step", "findings", "severity", "expected"),
    [
        (DECIDE, {"stopped"}, "critical", "restart"),
        (DECIDE, {"backlog"}, "warning", "ask"),
        (DECIDE, {"stopped"}, "warning", "restart"),
        (DECIDE, set[str](), "ok", None),
        (LOOK, {"stopped"}, "critical", "logs"),
        (ASK, set[str](), "unknown", None),
    ],
)
def test_findings_then_severity_then_else_then_the_next_heading_decide(
    step: Step, findings: set[str], severity: str, expected: str | None
) -> None:
    assert choose_next(step, findings, severity) == expected


def test_a_step_whose_branches_do_not_fit_goes_on_to_the_next_heading() -> None:
    assert choose_next(_step("a", "read", "b", Branch("stopped", "z")), {"backlog"}, "ok") == "b"


def test_reachable_follows_every_branch() -> None:
    assert reachable(BOOK) == {"look", "logs", "decide", "restart", "ask"}
    assert reachable(Runbook(name="x", title="x", kind="other", steps=())) == frozenset()


def test_the_procedure_of_a_kind_comes_before_other_runbooks_of_that_kind() -> None:
    other = Runbook(name="a-guide", title="Guide", kind="health", steps=(ASK,))
    assert for_kind([other, BOOK], "health") is BOOK
    assert for_kind([other], "health") is other
    assert for_kind([BOOK], "security") is None


@pytest.mark.parametrize("name", ["pipeline-health", "pipeline_health", "Pipeline-Health.md"])
def test_a_runbook_is_found_by_its_name_however_it_is_joined(name: str) -> None:
    assert by_name([BOOK], name) is BOOK
    assert by_name([BOOK], "pipeline") is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [("they_go_back", "They go back"), ("bigquery", "BigQuery"), ("google_cloud", "Google Cloud")],
)
def test_an_answer_is_a_button_s_label(answer: str, said: str) -> None:
    assert label_of(answer) == said


@pytest.mark.parametrize(
    ("prose", "said"),
    [
        ("Take the runbook [Data\nquality](data-quality.md) first.", "Take the runbook Data quality first."),
        ("It stands in [`roster.yaml`](roster.yaml).", "It stands in `roster.yaml`."),
        ("See [Google](https://status.cloud.google.com/).", "See Google (https://status.cloud.google.com/)."),
        ("Not a link: [x] (y)", "Not a link: [x] (y)"),
        ("1. **Services**: `a ** b` and **more of it**", "1. *Services*: `a ** b` and *more of it*"),
    ],
)
def test_a_link_of_a_page_is_spoken_in_a_chat(prose: str, said: str) -> None:
    assert unwrapped(prose) == said
