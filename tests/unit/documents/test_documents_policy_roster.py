"""Policy, roster and rehearsals: what is read, and which line of which file a mistake is in."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.core.policy import SHIPPED_RULES, Level, Policy
from bot.core.rehearsal import AlertArrives, FactChanges, Outage, PersonActs
from bot.core.roster import Always, FirstLevel, Person, PhoneNumber, Roster
from bot.documents import DocumentErrors, Surroundings, load_all, load_policy, load_rehearsal, load_roster

GOOD_PERSON = "people: {alice: {slack: U01ALICE}}\n"
L1 = "levels: {L1: {primary: alice}}\n"
START = "start: 2026-03-02T03:10:00Z\n"
KNOWN = Roster(
    people={"alice": Person(name="alice", slack="U01ALICE")}, first=FirstLevel(primary=Always("alice"))
)


def _file(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_policy_with_the_keys_of_the_interface_keeps_all_other_defaults(tmp_path: Path) -> None:
    text = """\
ladder: {L2: 2s, L3: 4s, L4: 8s}
l1: {backup: 1s, emergency: 2s, l2_if_critical: 3s}
repeat: 15s
reopen: 1m
rules: [{id: down, fact: down, for: 5s, within: 0m, to: L3}]
"""
    policy = load_policy(_file(tmp_path, text))
    assert policy.ladder[Level.L4] == timedelta(seconds=8)
    assert (policy.backup, policy.repeat) == (timedelta(seconds=1), timedelta(seconds=15))
    assert [(rule.id, rule.for_, rule.to) for rule in policy.rules] == [
        ("down", timedelta(seconds=5), Level.L3)
    ]
    assert (policy.ack_idle, policy.thresholds) == (Policy().ack_idle, Policy().thresholds)


def test_a_policy_without_rules_keeps_the_shipped_ones(tmp_path: Path) -> None:
    assert load_policy(_file(tmp_path, "repeat: 5m\n")).rules == SHIPPED_RULES
    assert load_policy(_file(tmp_path, "rules: []\n")).rules == ()


def test_a_level_may_name_user_groups_beside_people(tmp_path: Path) -> None:
    text = """\
people: {alice: {slack: U01ALICE}, S0BERTHA1: {slack: U02BERTHA}}
levels:
  L1: {primary: alice, groups: ["@data-eng", S0123ABCD]}
  L2: ["@data-leads", S0BERTHA1, S0123ABCD, "@data-leads"]
  L3: "@managers"
"""
    roster = load_roster(_file(tmp_path, text))
    assert roster.groups == {
        Level.L1: ("@data-eng", "S0123ABCD"), Level.L2: ("@data-leads", "S0123ABCD"), Level.L3: ("@managers",),
    }  # fmt: skip
    assert roster.upper == {Level.L2: (Always("S0BERTHA1"),), Level.L3: ()}, (
        "a person of that name is no group"
    )


@pytest.mark.parametrize(
    ("levels", "line", "mistake"),
    [
        ("L1: {primary: alice, groups: [alice]}", 3, "L1, groups: “alice” is no Slack user group"),
        ('L1: {primary: "@data-eng"}', 3, "L1, primary: there is no person “@data-eng”"),
        ("L1: {primary: alice, groups: {a: b}}", 3, "L1, groups must be a list"),
        ("L1: {primary: alice}\n  L2: [@data-leads]", 4, "not YAML"),
    ],
)
def test_a_group_in_the_wrong_place_is_named(tmp_path: Path, levels: str, line: int, mistake: str) -> None:
    with pytest.raises(DocumentErrors) as found:
        load_roster(_file(tmp_path, f"{GOOD_PERSON}levels:\n  {levels}\n"))
    told = [(m.line, str(m)) for m in found.value.mistakes]
    assert any(at == line and mistake in words for at, words in told), told


def test_numbers_to_dial_stay_as_written(tmp_path: Path) -> None:
    text = """\
people:
  alice: {slack: U01ALICE, phone: +15550100, email: a@example.com, hook: http://127.0.0.1:9/x, tz: Asia/Tokyo}
levels:
  L1: {primary: alice, emergency: +1-555-DATA-ENG}
  L2: alice
  L3: []
contacts: {data: "@data-owners", security: alice, network: S0123ABCD}
"""
    roster = load_roster(_file(tmp_path, text))
    assert roster.people["alice"].phone == "+15550100"
    assert roster.first.emergency == PhoneNumber("+1-555-DATA-ENG")
    assert roster.upper == {Level.L2: (Always("alice"),), Level.L3: ()}
    assert [(contact.kind, contact.value) for contact in roster.contacts.values()] == [
        ("group", "@data-owners"),
        ("person", "alice"),
        ("group", "S0123ABCD"),
    ]


def test_a_rehearsal_names_who_is_in_the_groups_of_the_roster_and_they_may_act(tmp_path: Path) -> None:
    text = START + 'groups: {"@leads": [alice, frank, frank]}\nevents:\n  - {at: +1m, ack: frank}\n'
    roster = replace(KNOWN, groups={Level.L2: ("@leads",)})
    rehearsal = load_rehearsal(_file(tmp_path, text), roster)
    assert rehearsal.groups == {"@leads": ("alice", "frank")}
    assert [item.person for item in rehearsal.happenings if isinstance(item, PersonActs)] == ["frank"]


def test_a_rehearsal_is_a_story_in_time_order(tmp_path: Path) -> None:
    text = (
        START
        + """\
policy: {repeat: 1m}
events:
  - {at: +10m, ack: alice}
  - {at: +0m, alert: {severity: critical, kind: health}}
  - {at: +1m, fact: {name: down, on: on}, for: 4m}
  - {at: 2026-03-02T04:12:00+01:00, down: bot, for: 20m}
"""
    )
    rehearsal = load_rehearsal(_file(tmp_path, text), KNOWN)
    start = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)

    def minute(count: int) -> datetime:
        return start + timedelta(minutes=count)

    assert rehearsal.happenings == (
        AlertArrives(start, {"severity": "critical", "kind": "health"}),
        FactChanges(at=minute(1), name="down", on=True),
        Outage(minute(2), "bot", timedelta(minutes=20)),
        FactChanges(at=minute(5), name="down", on=False),
        PersonActs(minute(10), "alice", "ack"),
    )
    assert rehearsal.policy is not None
    assert rehearsal.policy.repeat == timedelta(minutes=1)


POLICY = [
    ("", 1, "file is empty", "keys"),
    ("# only this\n", 1, "file is empty", "keys"),
    ("- a\n", 1, "must be a mapping", "key: value"),
    ("repaet: 15m\n", 1, "unknown key “repaet”", "“repeat”"),
    ("# x\nrepeat: 15\n", 2, "not a duration", "needs its unit"),
    ("repeat: 31d\n", 1, "out of range", "1s to 30d"),
    ("repeat: 0s\n", 1, "out of range", "1s to 30d"),
    ("ladder: {L2: 5h, L3: 4h, L4: 8h}\n", 1, "L3 (4 h) comes before L2 (5 h)", "at least"),
    ("ladder:\n  L1: 2h\n", 2, "unknown key “L1”", "L2"),
    ("l1: {backup: 5m, emergancy: 10m}\n", 1, "unknown key “emergancy” in l1", "“emergency”"),
    ("rules:\n  - {id: x, fact: dwon}\n", 2, "“dwon” is not possible", "“down”"),
    ("rules:\n  - {id: x, fact: down, to: L5}\n", 2, "“L5” is not possible", "L"),
    ("rules:\n  - {fact: down}\n", 2, "rule 1 has no id", "`id:"),
    ("rules:\n  - {id: x, fact: down}\n  - {id: x, fact: cost}\n", 3, "“x” is there twice", "id of its own"),
    ("rules:\n  - {id: x, fact: down, for: soon}\n", 2, "“soon” is not a duration", "0m to 30d"),
    ("facts: {error_rate: {warning: lots}}\n", 1, "not a share", "25%"),
    ("facts: {cost: {days: 0}}\n", 1, "“0” is not possible", "whole number"),
    ("repeat: [\n", 1, "not YAML", "brackets"),
]

ROSTER = [
    ("levels: {L1: {primary: alice}}\n", 1, "no people", "people"),
    (GOOD_PERSON, 1, "no level L1", "primary"),
    (GOOD_PERSON + "levels:\n  L1: {backup: alice}\n", 3, "L1 has no primary", "primary"),
    (GOOD_PERSON + "levels: {L1: {primary: alcie}}\n", 2, "no person “alcie”", "“alice”"),
    (GOOD_PERSON + L1.replace("}}", "}, L2: [bob]}"), 2, "L2: there is no person “bob”", "alice"),
    (GOOD_PERSON + L1.replace("}}", "}, L5: [alice]}"), 2, "unknown key “L5”", "L"),
    ("people:\n  alice: {slack: 'Alice A.'}\n" + L1, 2, "is no Slack member id", "U012"),
    ("people:\n  alice: {email: alice.example.com}\n" + L1, 2, "is no e-mail", "@example.com"),
    ("people:\n  alice: {slack: U01ALICE, tz: Europe/Berln}\n" + L1, 2, "not a time zone", "Europe/Berlin"),
    ("people:\n  alice: {slack: U01ALICE, phone: x}\n" + L1, 2, "is no phone number", "+1-555"),
    ("people:\n  alice: {hook: 'ftp://x'}\n" + L1, 2, "not an address", "https://"),
    ("people:\n  alice: {tz: UTC}\n" + L1, 2, "alice cannot be reached", "slack"),
    ("people:\n  alice: {slack: U1A}\n  bob: {slack: U1A}\n" + L1, 3, "the same Slack id", "their own"),
    ("people:\n  alice: {slak: U01ALICE, phone: '+1-555-0101'}\n" + L1, 2, "unknown key “slak”", "“slack”"),
    (GOOD_PERSON + L1 + "contacts: {fire: alice}\n", 3, "unknown key “fire”", "infrastructure"),
    (GOOD_PERSON + L1 + "contacts: {data: nobody}\n", 3, "neither a person", "mailbox"),
    (GOOD_PERSON + "people: {}\n" + L1, 2, "there twice (first in line 1)", "Keep one"),
]

REHEARSAL = [
    (START + "events:\n  - {at: +1m, snooze: alice}\n", 3, "the snooze has no length", "for: 2h"),
    (START + "events:\n  - {at: +1m, escalate: alice, to: L1}\n", 3, "“L1” is not possible", "L2"),
    (START + "events:\n  - {at: +1m, ack: alice, to: L2}\n", 3, "`to` has no meaning with ack", "Remove it"),
    ("events: [{at: +0m, ack: alice}]\n", 1, "no start", "start:"),
    ("start: 2026-03-02T03:10:00\nevents: [{at: +0m, ack: alice}]\n", 1, "no time zone", "Z"),
    ("start: noon\nevents: [{at: +0m, ack: alice}]\n", 1, "“noon” is not a time", "2026"),
    (START, 1, "no events", "events"),
    (START + "events:\n  - {at: +0m}\n", 3, "nothing happen", "exactly one"),
    (START + "events:\n  - {at: +0m, ack: alice, resolve: alice}\n", 3, "several things", "exactly one"),
    (START + "events:\n  - {ack: alice}\n", 3, "has no time", "+3m"),
    (START + "events:\n  - {at: soon, ack: alice}\n", 3, "“soon” is not a time", "+3m"),
    (START + "events:\n  - {at: +3, ack: alice}\n", 3, "not a duration", "unit"),
    (START + "events:\n  - {at: +0m, ack: zoe}\n", 3, "no person “zoe”", "alice"),
    (START + "events:\n  - {at: +0m, down: slack}\n", 3, "no length", "for"),
    (START + "events:\n  - {at: +0m, down: moon, for: 1m}\n", 3, "“moon” is not possible", "slack"),
    (START + "events:\n  - {at: +0m, fact: {name: sad}}\n", 3, "“sad” is not possible", "down"),
    (START + "events:\n  - {at: +0m, fact: {name: down, on: maybe}}\n", 3, "neither true nor false", "true"),
    (START + "events:\n  - {at: +0m, alert: {severity: bad}}\n", 3, "“bad” is not possible", "critical"),
    (
        START + 'groups: {"@leads": [alice]}\nevents:\n  - {at: +0m, ack: alice}\n',
        2,
        "the roster names no user group “@leads”",
        "Remove it",
    ),
    (
        START
        + "roster: {people: {alice: {slack: U01ALICE}}, levels: {L1: {primary: alice, groups: [S01ABCDEF]}}}\n"
        + "groups: {S01ABCDEF: [alice, two words]}\nevents:\n  - {at: +0m, ack: alice}\n",
        3,
        "“two words” is not a name",
        "carol",
    ),
    (START + "policy: {repeat: x}\nevents:\n  - {at: +0m, ack: alice}\n", 2, "not a duration", "15m"),
]


def _check(load: Callable[[], object], path: Path, line: int, says: str, remedy: str) -> None:
    with pytest.raises(DocumentErrors) as caught:
        load()
    (mistake,) = caught.value.mistakes
    assert mistake.file == str(path)
    found = f"{mistake.text} {mistake.remedy}"
    assert (mistake.line, says in mistake.text, remedy in found) == (line, True, True), str(mistake)


@pytest.mark.parametrize(("text", "line", "says", "remedy"), POLICY)
def test_a_mistake_in_the_policy_names_its_line(
    tmp_path: Path, text: str, line: int, says: str, remedy: str
) -> None:
    path = _file(tmp_path, text)
    _check(lambda: load_policy(path), path, line, says, remedy)


@pytest.mark.parametrize(("text", "line", "says", "remedy"), ROSTER)
def test_a_mistake_in_the_roster_names_its_line(
    tmp_path: Path, text: str, line: int, says: str, remedy: str
) -> None:
    path = _file(tmp_path, text)
    _check(lambda: load_roster(path), path, line, says, remedy)


@pytest.mark.parametrize(("text", "line", "says", "remedy"), REHEARSAL)
def test_a_mistake_in_a_rehearsal_names_its_line(
    tmp_path: Path, text: str, line: int, says: str, remedy: str
) -> None:
    path = _file(tmp_path, text)
    _check(lambda: load_rehearsal(path, KNOWN), path, line, says, remedy)


def test_people_are_named_to_slack_by_id_handle_or_e_mail_address(tmp_path: Path) -> None:
    people = (
        "people:\n  alice: {slack: U01ALICE}\n  bob: {slack: '@bob'}\n  carol: {slack: carol@example.com}\n"
        "  dave: {email: dave@example.com}\n  erin: {phone: '+1-555-0105'}\n"
    )
    roster = load_roster(_file(tmp_path, people + L1))
    assert {name: person.slack for name, person in roster.people.items()} == {
        "alice": "U01ALICE", "bob": "@bob", "carol": "carol@example.com", "dave": "dave@example.com", "erin": None,
    }  # fmt: skip


def test_an_empty_folder_tells_all_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DocumentErrors) as caught:
        load_all(tmp_path, Surroundings())
    assert [(Path(mistake.file).name, mistake.text) for mistake in caught.value.mistakes] == [
        ("escalation.yaml", "the file is missing"),
        ("roster.yaml", "the file is missing"),
    ]


def test_a_folder_in_a_files_place_is_a_mistake_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").mkdir()
    with pytest.raises(DocumentErrors, match="cannot be read"):
        load_policy(tmp_path / "file.yaml")


def test_a_file_that_is_far_too_large_is_a_mistake(tmp_path: Path) -> None:
    path = _file(tmp_path, "#" * (600 * 1024))
    with pytest.raises(DocumentErrors, match="larger than 512 KiB"):
        load_policy(path)


def test_a_rehearsed_alert_may_be_written_as_it_is_sent(tmp_path: Path) -> None:
    events = "events:\n  - {at: +0m, alert: {incident_id: x1, state: open, severity: Critical}, for: 5m}\n"
    opened, closed = load_rehearsal(_file(tmp_path, START + events)).happenings
    assert isinstance(opened, AlertArrives)
    assert isinstance(closed, AlertArrives)
    assert opened.alert == {"incident": {"incident_id": "x1", "state": "open", "severity": "Critical"}}
    assert closed.alert["incident"] == {"incident_id": "x1", "state": "closed", "severity": "Critical"}
    short = START + "events:\n  - {at: +0m, alert: {severity: CRITICAL, title: Orders stopped}}\n"
    (told,) = load_rehearsal(_file(tmp_path, short)).happenings
    assert isinstance(told, AlertArrives)
    assert told.alert == {"severity": "critical", "title": "Orders stopped"}
    with pytest.raises(DocumentErrors, match="no notification"):
        load_rehearsal(
            _file(tmp_path, START + "events:\n  - {at: +0m, alert: {incident_id: x, state: odd}}\n")
        )
