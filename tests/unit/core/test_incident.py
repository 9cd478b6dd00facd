"""The fold: the events are the incident, and its state is a cache of them (design, "Words")."""

from datetime import timedelta

import pytest

from bot.core.folding import evolve, fold
from bot.core.incident import Event, instant
from bot.core.policy import Policy
from bot.store.codec import dumps, loads, loads_any
from tests.unit.core.incident_case import START, Case, alert, minutes


def night() -> Case:
    case = Case("warning", kind="health", policy=Policy(backup=timedelta(minutes=7)))
    case.alert(alert("a1", severity="critical"))
    case.probe(False, deletion=400, down=True, error_rate=None)
    case.to(20)
    case.ack()
    case.to(130)
    case.resolve()
    case.to(150)
    case.reopen()
    return case.to(180)


def test_a_timeline_folds_to_the_state_that_it_made() -> None:
    case = night()
    assert fold(7, case.events) == case.incident


def test_every_beginning_of_a_timeline_is_a_state() -> None:
    case = night()
    states = [fold(7, case.events[:count]) for count in range(1, len(case.events) + 1)]
    assert [state.seq for state in states if state] == [event.seq for event in case.events]


def test_no_events_are_no_incident() -> None:
    assert fold(7, []) is None


def test_an_event_of_a_newer_version_changes_nothing_but_the_sequence() -> None:
    case = night()
    unknown = Event(type="teleported", at=case.now, actor="streamwatch", seq=999)
    after = evolve(case.incident, unknown)
    assert after.seq == 999
    assert (after.status, after.pages, after.fired) == (
        case.incident.status,
        case.incident.pages,
        case.incident.fired,
    )


def test_the_state_survives_its_stored_form() -> None:
    case = night()
    assert loads(dumps(case.incident), type(case.incident)) == case.incident


def test_a_state_that_an_older_version_stored_is_read_with_what_it_lacks_unset() -> None:
    stored = loads_any(dumps(Case("critical").incident))
    for newer in ("resumed_at", "deletion_known_at"):
        del stored[newer]
    read = loads(dumps(stored), type(Case("critical").incident))
    assert (read.resumed_at, read.deletion_known_at) == (None, None)


def test_the_policy_is_frozen_in_the_incident() -> None:
    assert night().incident.policy.backup == timedelta(minutes=7)


def test_event_data_is_json_and_its_instants_are_read_back() -> None:
    for event in night().events:
        assert loads_any(dumps(event.data)) is not None
    assert instant((START + minutes(1)).isoformat()) == START + minutes(1)
    assert instant(None) is None


def test_what_is_no_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        instant("yesterday")


def test_a_delivery_keeps_its_first_time() -> None:
    case = Case("critical")
    (page,) = case.incident.pages
    for minute in (1, 2):
        delivered = Event(type="page_delivered", at=START + minutes(minute), actor="x", data={"page": page})
        case.store([delivered])
    assert case.incident.pages[page].sent_at == START + minutes(1)
