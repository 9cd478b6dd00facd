"""Who may do what: one table row for each right (design, "Operations"; rules: "Escalation", Who)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.core.access import Action, Allowed, Denied, decide, is_member
from bot.core.alert_model import Kind, Severity
from bot.core.folding import begin, evolve
from bot.core.incident import Event, Incident
from bot.core.lifecycle import opened
from bot.core.policy import Level, Policy
from bot.core.roster import Always, Contact, FirstLevel, Person, PhoneNumber, Roster

AT = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "gina", "harry")
PEOPLE = {name: Person(name=name, slack=f"U{name.upper()}") for name in NAMES}
# frank holds nothing, gina is the security contact, harry is L1's last resort.
ROSTER = Roster(
    people=PEOPLE,
    first=FirstLevel(primary=Always("alice"), backup=Always("bob"), emergency=Always("harry")),
    upper={Level.L2: (Always("carol"),), Level.L3: (Always("dave"),), Level.L4: (Always("erin"),)},
    contacts={
        "security": Contact(subject="security", kind="person", value="gina"),
        # A Slack group that happens to be called as a person is.
        "compliance": Contact(subject="compliance", kind="group", value="frank"),
        "data": Contact(subject="data", kind="person", value="dave"),
    },
)
L1: set[str | None] = {"alice", "bob", "harry"}
UPPER: set[str | None] = {"carol", "dave", "erin"}
EVERYBODY: set[str | None] = {*NAMES, None}


def incident(*, private: bool = False, assignee: str = "", paged: str = "") -> Incident:
    first = opened(
        project="p", pipeline="orders", family="stream", title="t",
        kind=Kind.SECURITY if private else Kind.HEALTH, severity=Severity.CRITICAL, policy=Policy(), now=AT,
        actor="watch", reason="",
    )  # fmt: skip
    made = replace(begin(7, first), assignee=assignee)
    if not paged:
        return made
    data = {"page": "p", "epoch": 1, "step": "s", "level": "L3", "person": paged, "due_at": AT.isoformat()}
    return evolve(made, Event(type="paged", at=AT, actor="streamwatch", data=data))


def may(action: Action, environment: str = "production", about: Incident | None = None) -> set[str | None]:
    """Everybody who is allowed."""
    people = [*NAMES, None]
    return {
        who
        for who in people
        if isinstance(decide(ROSTER, who, AT, action, environment=environment, incident=about), Allowed)
    }


@pytest.mark.parametrize(
    ("action", "environment", "allowed"),
    [
        ("read", "production", EVERYBODY),
        ("tell", "production", EVERYBODY),
        ("respond", "production", set(NAMES)),
        ("acknowledge", "production", L1 | UPPER),
        ("change", "production", L1 | UPPER),
        ("destructive", "production", L1 | UPPER),
        ("approve", "production", UPPER),
        ("repeat_restart", "production", UPPER),
        ("review_done", "production", UPPER),
        ("change", "staging", set(NAMES)),
        ("destructive", "staging", set(NAMES)),
        ("acknowledge", "staging", L1 | UPPER),
        ("approve", "staging", UPPER),
        ("review_done", "staging", UPPER),
    ],
)
def test_who_may_what(action: Action, environment: str, allowed: set[str | None]) -> None:
    assert may(action, environment) == allowed


@pytest.mark.parametrize("action", ["acknowledge", "change", "destructive"])
@pytest.mark.parametrize("how", [{"assignee": "frank"}, {"paged": "frank"}])
def test_the_assignee_and_whoever_was_paged_may_act_too(action: Action, how: dict[str, str]) -> None:
    assert may(action, about=incident(**how)) == L1 | UPPER | {"frank"}  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["approve", "repeat_restart", "review_done"])
def test_the_assignee_is_not_an_approver(action: Action) -> None:
    assert may(action, about=incident(assignee="frank")) == UPPER


@pytest.mark.parametrize("action", ["read", "tell", "respond", "acknowledge", "change", "destructive"])
def test_a_private_incident_is_for_its_members(action: Action) -> None:
    members = L1 | {"carol", "gina"}
    acting = members - {"gina"} if action in ("acknowledge", "change", "destructive") else members
    assert may(action, about=incident(private=True)) == acting


@pytest.mark.parametrize("how", [{"assignee": "frank"}, {"paged": "frank"}])
def test_who_is_paged_or_assigned_becomes_a_member(how: dict[str, str]) -> None:
    about = incident(private=True, **how)
    assert may("read", about=about) == L1 | {"carol", "gina", "frank"}


def test_a_group_of_contacts_makes_no_person_of_the_same_name_a_member() -> None:
    assert not is_member(ROSTER, "frank", AT, incident(private=True))
    assert is_member(ROSTER, "gina", AT, incident(private=True))


def test_l3_is_no_member_of_a_private_incident_and_so_may_not_approve_on_it() -> None:
    assert may("approve", about=incident(private=True)) == {"carol"}


@pytest.mark.parametrize("stranger", [None, "", "mallory", "slack:U99", "U01ALICE", "Alice"])
@pytest.mark.parametrize(
    "action",
    ["respond", "acknowledge", "change", "destructive", "approve", "repeat_restart", "review_done"],
)
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_whoever_is_not_on_the_roster_changes_nothing(
    stranger: str | None, action: Action, environment: str
) -> None:
    found = decide(ROSTER, stranger, AT, action, environment=environment, incident=incident())
    assert isinstance(found, Denied)
    assert found.reason == "only people on the roster may do this"


@pytest.mark.parametrize("stranger", [None, "", "slack:U99"])
def test_an_unassigned_private_incident_has_no_nameless_member(stranger: str | None) -> None:
    assert isinstance(decide(ROSTER, stranger, AT, "read", incident=incident(private=True)), Denied)
    assert not is_member(ROSTER, stranger, AT, incident(private=True))


def test_nobody_approves_their_own_plan() -> None:
    own = decide(ROSTER, "carol", AT, "approve", requester="carol")
    assert own == Denied("the second person must be somebody else", ("dave", "erin"))
    assert decide(ROSTER, "carol", AT, "approve", requester="alice") == Allowed()


def test_a_refusal_names_who_may() -> None:
    review = decide(ROSTER, "alice", AT, "review_done")
    assert isinstance(review, Denied)
    assert review.who_may == ("carol", "dave", "erin")
    change = decide(ROSTER, "frank", AT, "change")
    assert isinstance(change, Denied)
    assert change.who_may == ("alice", "bob", "harry", "carol", "dave", "erin")


def test_one_person_at_two_levels_counts_with_the_higher_and_is_named_once() -> None:
    both = replace(ROSTER, upper={Level.L2: (Always("alice"),), Level.L3: (Always("carol"),)})
    assert decide(both, "alice", AT, "review_done") == Allowed()
    refused = decide(both, "frank", AT, "change")
    assert isinstance(refused, Denied)
    assert refused.who_may == ("alice", "bob", "harry", "carol")


def test_a_number_to_dial_has_no_rights() -> None:
    dialled = replace(ROSTER, first=FirstLevel(primary=Always("alice"), emergency=PhoneNumber("harry")))
    assert isinstance(decide(dialled, "harry", AT, "change"), Denied)


class _FromTen:
    """bob from ten past three plus an hour, alice before."""

    def on_duty(self, at: datetime) -> str:
        return "bob" if at >= AT + timedelta(hours=1) else "alice"


def test_a_right_follows_the_roster_at_the_instant_of_the_click() -> None:
    rotating = Roster(people=PEOPLE, first=FirstLevel(primary=_FromTen()))  # type: ignore[arg-type]
    assert decide(rotating, "alice", AT, "change") == Allowed()
    assert isinstance(decide(rotating, "alice", AT + timedelta(hours=2), "change"), Denied)
    assert decide(rotating, "bob", AT + timedelta(hours=2), "change") == Allowed()


def test_an_empty_roster_lets_nobody_do_anything_but_read() -> None:
    empty = Roster(people={}, first=FirstLevel())
    assert decide(empty, "alice", AT, "read") == Allowed()
    assert decide(empty, "alice", AT, "change") == Denied("only people on the roster may do this", ())
