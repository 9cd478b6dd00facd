"""Which runbook an incident follows when the watch saw it first and its alert names a better one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core import lifecycle, matching, signals
from bot.core.alert_model import Alert, Kind
from bot.core.incident import Incident
from bot.core.sentences import sentence
from bot.desk import receive
from bot.desk.house import claims_of
from tests.unit.core.incident_case import alert
from tests.unit.desk.test_runbook_in_incident import BOOK, HOUSE, Desk

WONT_START = replace(BOOK, name="wont-start", title="Will not start")
QUALITY = replace(BOOK, name="data-quality", kind="quality", title="Data quality")
BOOKS = replace(HOUSE, runbooks=(BOOK, WONT_START, QUALITY))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(tmp_path)
    found.open_incident()
    return found


def comes(
    desk: Desk, runbook: str, key: str = "a1", severity: str = "critical", kind: str = "health"
) -> None:
    """An alert whose policy names a runbook joins INC-1."""
    named = replace(
        alert(key, severity=severity, kind=kind),
        resource_labels={},
        labels={"managed_by": "streamwatch", "pipeline": "orders", "runbook": runbook},
    )
    house = replace(BOOKS, claims=claims_of(HOUSE.pipelines))
    desk.database.write(lambda tx: receive.receive(tx, house, named, tx.now()))


def test_a_runbook_that_nobody_has_begun_gives_way_to_the_one_that_the_alert_names(desk: Desk) -> None:
    desk.report(
        desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped"
    )  # the bot has read; a person has not
    comes(desk, "wont-start")
    assert desk.incident.runbook == "wont-start"
    assert desk.ref == "wont-start/look#2.1"
    (told,) = desk.events("runbook_matched")
    said = sentence(desk.incident, told)
    assert said.startswith(
        "The runbook is now wont-start instead of pipeline-health, which nobody had begun: "
    )
    assert said in desk.texts()


def test_one_that_somebody_works_by_stays_and_the_other_is_offered_once(desk: Desk) -> None:
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    desk.tick({"incident": 1}, desk.ref)
    standing = desk.ref
    comes(desk, "wont-start", severity="warning")
    comes(desk, "wont-start", "a2", severity="warning")
    assert (desk.incident.runbook, desk.ref) == ("pipeline-health", standing)
    (offered,) = [
        data for data in desk.said() if "may fit better than pipeline-health" in str(data.get("text"))
    ]
    assert offered["buttons"] == [
        {"action": "runbook_take", "label": "Carry out wont-start", "value": "1:wont-start"}
    ]


def test_another_kind_does_not_take_the_runbook_from_somebody_at_work(desk: Desk) -> None:
    desk.report(desk.run("step:INC-1:pipeline-health/look#1.1"), "stopped")
    desk.tick({"incident": 1}, desk.ref)
    comes(desk, "", kind="quality")
    assert (desk.incident.kind, desk.incident.runbook) == (Kind.QUALITY, "pipeline-health")
    (changed,) = desk.events("kind_changed")
    assert sentence(desk.incident, changed) == "Kind health -> quality; the runbook stays pipeline-health."
    assert [e.data["to"] for e in desk.events("runbook_matched")] == ["data-quality"]


def joined(first: Incident, alerts: tuple[tuple[Alert, str], ...]) -> tuple[Kind, str]:
    state = first
    for one, named in alerts:
        state = lifecycle.apply(
            state,
            signals.alert_opens(
                state, one, began_at=first.opened_at, note=None, now=first.opened_at, named=named,
                runbooks={"health": "pipeline-health", "quality": "data-quality"},
            ),
        )  # fmt: skip
    return state.kind, state.runbook


def test_the_order_of_alerts_does_not_decide_the_runbook(desk: Desk) -> None:
    alerts = (
        (alert("a", severity="warning"), "wont-start"),
        (alert("b", severity="critical"), ""),
        (alert("c", severity="critical"), "high-latency"),
        (alert("d", severity="critical", kind="quality"), "high-error-rate"),
    )
    found = {joined(desk.incident, order) for order in itertools.permutations(alerts)}
    assert found == {(Kind.HEALTH, "high-latency")}


def test_a_declared_incident_keeps_its_runbook_and_is_offered_one_of_another_kind(desk: Desk) -> None:
    declared = replace(desk.incident, declared=True, walk=None)
    quality = alert("q", kind="quality")
    opened = lifecycle.event("alert_opened", declared.opened_at, "x", **signals.alert_line(
        quality, declared.opened_at, None, runbook="data-quality"
    ))  # fmt: skip
    after = lifecycle.apply(declared, [opened])
    (offer,) = matching.by_alerts(declared, after, {"quality": "data-quality"}, declared.opened_at, "x")
    assert (offer.type, offer.data["to"], offer.data["switched"]) == (
        "runbook_matched",
        "data-quality",
        False,
    )
