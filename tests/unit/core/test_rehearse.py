"""Rehearse: a story on a clock of its own against the real rules ("Outside interface: Files in runbooks")."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.policy import Level, Policy
from bot.core.rehearsal import (
    AlertArrives,
    FactChanges,
    Happening,
    Line,
    Outage,
    PersonActs,
    Rehearsal,
    Story,
    differences,
    json_lines,
    text_of,
)
from bot.core.roster import Always, Contact
from bot.core.runbook import Runbook
from bot.desk.house import House, claims_of
from bot.desk.rehearse import rehearse
from bot.documents.loading import load_policy, load_rehearsal, load_roster
from pipeline.catalogue import load as load_pipelines

RUNBOOKS = Path(__file__).parents[3] / "runbooks"
SHIPPED = sorted(path.stem for path in (RUNBOOKS / "rehearsals").glob("*.yaml"))
START = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
PIPELINES = load_pipelines(RUNBOOKS / "pipelines.yaml").pipelines
HOUSE = House(
    roster=load_roster(RUNBOOKS / "roster.yaml"),
    policy=load_policy(RUNBOOKS / "escalation.yaml"),
    runbooks=(),
    pipelines=PIPELINES,
    operations={},
    claims=claims_of(PIPELINES),
)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def opens(minute: float, severity: str = "critical", **more: object) -> AlertArrives:
    return AlertArrives(at(minute), {"pipeline": "orders", "kind": "health", "severity": severity, **more})


def closes(minute: float) -> AlertArrives:
    return opens(minute, state="closed")


def acks(minute: float, person: str = "alice") -> PersonActs:
    return PersonActs(at(minute), person, "ack")


def resolves(minute: float, person: str = "alice") -> PersonActs:
    return PersonActs(at(minute), person, "resolve")


def down(minute: float, what: str, minutes: float) -> Outage:
    return Outage(at(minute), "bot" if what == "bot" else "slack", timedelta(minutes=minutes))


def fact(minute: float, name: str, on: bool = True) -> FactChanges:
    return FactChanges(at=at(minute), name=name, on=on)


def play(*happenings: Happening, policy: Policy | None = None, house: House = HOUSE) -> Story:
    told = Rehearsal(name="test", start=START, happenings=happenings, policy=policy)
    return rehearse(told, house)


def minute(when: datetime) -> float:
    return (when - START).total_seconds() / 60


def seen(story: Story, kind: str) -> list[float]:
    return [minute(line.at) for line in story.lines if line.kind == kind]


def pages(story: Story) -> list[tuple[float, str | None, str | None]]:
    return [(minute(line.at), line.level, line.person) for line in story.pages()]


# --- what is shipped ---


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_rehearsal_gives_the_story_that_is_shipped_with_it(name: str) -> None:
    told = load_rehearsal(RUNBOOKS / "rehearsals" / f"{name}.yaml", HOUSE.roster)
    expected = (RUNBOOKS / "rehearsals" / f"{name}.expected.jsonl").read_text("utf-8")
    assert differences(rehearse(told, HOUSE), expected) == []


def test_there_is_a_story_for_each_kind_of_incident_and_one_in_which_everything_goes_wrong() -> None:
    kinds = {"pipeline-down", "data-quality", "cost-spike", "performance", "security"}
    assert kinds | {"everything-goes-wrong"} <= set(SHIPPED)


def test_the_same_rehearsal_gives_the_same_story_every_time() -> None:
    told = load_rehearsal(RUNBOOKS / "rehearsals" / "everything-goes-wrong.yaml")
    assert json_lines(rehearse(told, HOUSE)) == json_lines(rehearse(told, HOUSE))


# --- nobody answers ---


def test_one_alert_and_nobody_reaches_every_level_by_the_documents_thresholds() -> None:
    story = play(opens(0, "warning"))
    first = {level: minute(story.pages(level)[0].at) for level in ("L1", "L2", "L3", "L4")}
    assert first == {"L1": 0, "L2": 120, "L3": 240, "L4": 480}
    assert all(line.late_s == 0 for line in story.pages())


def test_a_story_ends_when_only_l1s_repeats_are_left() -> None:
    story = play(opens(0, "warning"))
    assert minute(story.lines[-1].at) < 10 * 60


def test_an_alert_that_closes_in_time_resolves_by_itself() -> None:
    story = play(opens(0), acks(1), closes(5))
    assert seen(story, "recovering") == [5]
    assert seen(story, "resolved") == [15]
    assert pages(story) == [(0, "L1", "alice")]


# --- the bot is down ---


def test_nothing_fires_while_the_bot_is_down_and_then_at_once_with_how_late_it_is() -> None:
    story = play(opens(0), down(3, "bot", 20), acks(24))
    late = [(line.level, line.person, minute(line.at), line.late_s) for line in story.pages()][1:4]
    assert late == [
        ("L1", "bob", 23, 18 * 60),
        ("L1", "alice", 23, 8 * 60),
        ("L2", "carol", 23, 8 * 60),
    ]
    assert seen(story, "emergency")[0] == 23


def test_an_alert_that_comes_while_the_bot_is_down_is_taken_when_it_is_back_with_its_own_begin() -> None:
    story = play(down(0, "bot", 20), opens(2), acks(30))
    assert seen(story, "opened") == [20]
    assert (20, "L2", "carol") in pages(story), "down since minute 2: the 15 minutes are over"


# --- Slack is down ---


def test_pages_that_are_due_while_slack_is_down_go_out_when_it_is_back_and_say_how_late() -> None:
    story = play(opens(0), down(3, "slack", 20), acks(24))
    late = [(line.person, minute(line.at), line.late_s) for line in story.pages()][1:3]
    assert late == [("bob", 23, 18 * 60), ("alice", 23, 8 * 60)]


def test_people_cannot_press_a_button_while_slack_is_down() -> None:
    story = play(opens(0), down(1, "slack", 20), acks(2))
    assert seen(story, "acknowledged") == [21]


def test_a_page_that_waited_for_slack_and_is_not_needed_any_more_never_leaves() -> None:
    story = play(opens(0), acks(0.5), closes(1), down(2, "slack", 200), policy=quick())
    assert seen(story, "cancelled") == [11]
    assert story.pages("L2") == ()


def quick() -> Policy:
    return Policy(ladder={Level.L2: timedelta(minutes=5)})


# --- facts ---


def test_a_fact_without_any_alert_opens_an_incident_of_the_watchs_own() -> None:
    story = play(fact(0, "down"))
    assert seen(story, "opened") == [0]
    assert minute(story.pages("L2")[0].at) == 15
    assert story.pages("L2")[0].rule == "down"


def test_the_error_rate_rule_warns_at_half_time_and_pages_in_an_hour() -> None:
    story = play(opens(0, "warning", kind="quality"), acks(1), fact(2, "error_rate"), resolves(100))
    (warning,) = [line for line in story.lines if line.kind == "warning"]
    assert (minute(warning.at), warning.level, warning.rule) == (62, "L2", "error_rate")
    (page,) = story.pages("L2")
    assert (minute(page.at), page.rule) == (92, "error_rate")


def test_a_fact_that_ends_in_time_pages_nobody() -> None:
    story = play(opens(0, "warning", kind="quality"), acks(1), fact(2, "error_rate"), fact(80, "error_rate", False),
                 resolves(110))  # fmt: skip
    assert story.pages("L2") == ()


@pytest.mark.parametrize(
    ("name", "due"), [("budget_overrun", 0), ("security", 0), ("cost", 60), ("persistent_minor", 240)]
)
def test_facts_of_money_security_and_minor_issues_have_incidents_of_their_own(name: str, due: float) -> None:
    story = play(fact(0, name))
    page = next(line for line in story.pages("L2") if line.rule == name)
    assert minute(page.at) == due


def test_a_pipeline_that_no_file_claims_can_be_rehearsed() -> None:
    story = play(
        opens(0, pipeline="returns"), FactChanges(at=at(0), name="down", on=True, pipeline="returns")
    )
    assert seen(story, "opened") == [0]
    assert minute(story.pages("L2")[0].at) == 15


# --- alerts ---


def test_a_close_before_its_open_pages_nobody() -> None:
    story = play(closes(0), opens(1))
    assert story.pages() == ()
    assert seen(story, "resolved") == [11]


def test_within_an_hour_of_resolve_the_same_incident_goes_on() -> None:
    story = play(opens(0), acks(1), closes(2), resolves(3), opens(40), resolves(41))
    assert {line.incident for line in story.lines if line.incident} == {"INC-1"}
    assert seen(story, "reopened") == [40]


def test_after_an_hour_it_is_a_new_incident() -> None:
    story = play(opens(0), closes(2), resolves(3), opens(64), resolves(65))
    assert {line.incident for line in story.lines if line.incident} == {"INC-1", "INC-2"}


# --- people ---


def test_who_holds_no_level_is_refused_and_the_story_goes_on() -> None:
    story = play(opens(0), acks(1, "mallory"), acks(2, "alice"))
    (refused,) = [line for line in story.lines if line.kind == "refused"]
    assert refused.person == "mallory"
    assert seen(story, "acknowledged") == [2]


def test_an_alert_as_cloud_monitoring_sends_it_plays_beside_the_runbooks_of_the_calendar() -> None:
    books = tuple(Runbook(name=kind, title=kind, kind=kind, steps=()) for kind in ("daily", "health"))
    sent = {
        "incident_id": "0.x",
        "state": "open",
        "policy_name": "lag",
        "policy_user_labels": {"runbook": "health"},
    }
    story = play(AlertArrives(at(1), {"incident": sent}), house=replace(HOUSE, runbooks=books))
    assert seen(story, "opened") == [1]


def test_an_acknowledgement_without_any_incident_is_refused() -> None:
    assert seen(play(acks(1)), "refused") == [1]


def test_a_snooze_and_an_escalation_are_what_the_commands_make_of_them() -> None:
    snooze = PersonActs(at(10), "alice", "snooze", timedelta(hours=3))
    escalate = PersonActs(at(20), "alice", "escalate", None, Level.L3)
    story = play(opens(0, "warning"), acks(1), snooze, escalate, acks(21, "dave"))
    assert seen(story, "snoozed") == [10]
    assert (20, "L3", "dave") in pages(story)
    assert minute(story.pages("L2")[0].at) == 190, "the snooze holds the ladder of a warning back"


def test_a_snooze_that_is_too_long_is_refused() -> None:
    story = play(opens(0), acks(1), PersonActs(at(10), "alice", "snooze", timedelta(hours=9)), resolves(20))
    (refused,) = [line for line in story.lines if line.kind == "refused"]
    assert refused.person == "alice"
    assert "at most 8 h" in refused.text


# --- user groups ---


def grouped(**told: tuple[str, ...]) -> Story:
    """A security incident of a house whose L2 is the group @leads, and whose security contact the group @owners;
    frank and sam acknowledge."""
    owners = Contact(subject="security", kind="group", value="@owners")
    roster = replace(
        HOUSE.roster,
        upper={Level.L3: (Always("dave"),)},
        groups={Level.L2: ("@leads",)},
        contacts={**HOUSE.roster.contacts, "security": owners},
    )
    happenings = (opens(0, kind="security"), acks(1, "frank"), acks(2, "sam"), resolves(3, "alice"))
    groups = {f"@{handle}": names for handle, names in told.items()}
    return rehearse(
        Rehearsal(name="test", start=START, happenings=happenings, groups=groups),
        replace(HOUSE, roster=roster),
    )


def test_members_that_the_file_names_are_paged_and_may_act() -> None:
    story = grouped(leads=("frank", "carol"), owners=("sam", "carol"))
    paged = pages(story)
    assert {(0, "L2", "frank"), (0, "L2", "sam"), (0, "L2", "carol")} <= set(paged)
    assert (0, "L3", "dave") not in paged
    assert seen(story, "refused") == []
    answers = [line for line in story.lines if line.kind in ("acknowledged", "page_acknowledged")]
    assert {line.person for line in answers} == {"frank", "sam"}
    assert story.unknown_groups() == ()


def test_a_group_that_the_file_says_nothing_of_has_nobody_and_a_line_says_so() -> None:
    story = grouped(owners=("sam",))
    assert (0, "L3", "dave") in pages(story), "the next level up"
    (told,) = story.unknown_groups()
    assert "Who is in @leads (L2) is not known" in told
    assert 'groups: {"@leads": [NAME, NAME]}' in told
    assert told in text_of(story)
    assert all("group" not in line for line in json_lines(story)), (
        "a script that counts pages does not want it"
    )
    assert [line.person for line in story.lines if line.kind == "refused"] == ["frank"]


# --- lines ---


def test_a_line_has_exactly_the_fields_of_the_interface() -> None:
    first = json.loads(json_lines(play(opens(0), resolves(1)))[0])
    assert list(first) == ["at", "due", "kind", "level", "person", "rule", "late_s"]
    assert first["at"] == "2026-03-02T03:10:00Z"


def test_the_text_tells_who_was_paged_when_why_and_how_late() -> None:
    told = text_of(play(opens(0), down(3, "bot", 20), acks(24), resolves(25)))
    assert "+23 min  INC-1 PAGE to bob (L1): not acknowledged for 5 min: backup [18 min late]" in told
    assert "The bot is down for 20 min." in told
    assert told.splitlines()[-1] == "4 pages to 3 people, 3 of them late."


def lines(*wanted: dict[str, object]) -> str:
    return "\n".join(json.dumps(line) for line in wanted)


def one_line() -> Story:
    return Story(
        name="t", start=START, lines=(Line(at=START, due=START, kind="page", level="L1", person="alice"),)
    )


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        ([{"kind": "page", "level": "L1"}], []),
        ([{"kind": "page", "level": "L2"}], ['line 1: expected level "L2", came "L1"']),
        ([], ["line 1: nothing more was expected"]),
        ([{"kind": "page"}, {"kind": "resolved"}], ["line 2: expected resolved, nothing came"]),
    ],
)
def test_what_differs_from_what_was_expected_is_told(
    expected: Sequence[dict[str, object]], told: list[str]
) -> None:
    found = differences(one_line(), lines(*expected))
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


@pytest.mark.parametrize("text", ["{", '["page"]', '{"kinds": "page"}'])
def test_an_expected_story_that_is_none_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match="line 1 of the expected story"):
        differences(one_line(), text)


# --- a year ---


def test_a_year_of_on_call_takes_seconds() -> None:
    happenings: list[Happening] = []
    for day in range(365):
        begin = day * 24 * 60.0
        happenings += [opens(begin, "critical" if day % 7 == 0 else "warning"), acks(begin + 7)]
        happenings += [closes(begin + 90), resolves(begin + 95)]
    started = time.monotonic()
    story = play(*happenings)
    assert time.monotonic() - started < 20
    assert len(seen(story, "resolved")) == 365


@pytest.mark.parametrize("year", [1999, 9000])
def test_a_start_that_no_calendar_has_room_for_is_refused(year: int) -> None:
    with pytest.raises(ValueError, match=f"the year {year}"):
        rehearse(Rehearsal(name="t", start=START.replace(year=year), happenings=()), HOUSE)
