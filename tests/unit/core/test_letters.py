"""What a mail and a hook say of a page: enough to act on, nothing that injects, nothing of a private incident."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from bot.core.letters import Links, call, dedup_key, letter, taken_back
from tests.unit.core.incident_case import Case
from tests.unit.core.test_reach import awake, rows_of

AT = datetime(2026, 3, 2, 3, 10, 5, tzinfo=UTC)
LINKS = Links(acknowledge="https://bot/ack/TOKEN", incident="https://bot/incidents/INC-7", until=AT)


def data_of(case: Case) -> dict[str, object]:
    return dict(next(row.data for row in rows_of(case) if row.key.endswith(":mail")))


def test_a_mail_says_what_is_wrong_and_how_to_answer() -> None:
    case = Case("critical", on_call=awake())
    said = letter(
        case.incident, "page:x:mail", data_of(case), "a@example.com", LINKS, sender="p@example.com", at=AT
    )
    assert said.subject == "[CRITICAL] INC-7, page to L1: trouble"
    for part in (
        "Pipeline: orders",
        "Why:",
        "Due: 2026-03-02 03:10 UTC",
        "https://bot/ack/TOKEN",
        "/incident ack INC-7",
    ):
        assert part in said.text
    assert said.message_id.endswith("@example.com>")
    again = {**data_of(case), "repeat": True, "late_s": 90.0}
    twice = letter(case.incident, "page:x:mail", again, "a@example.com", LINKS, sender="p@example.com", at=AT)
    assert twice.message_id == said.message_id
    assert twice.subject.endswith("(may be a repeat)")
    assert "sent 1 min 30 s late" in twice.text


def test_two_installations_do_not_share_keys() -> None:
    one, other = Case("critical", on_call=awake()), Case("critical", on_call=awake())
    moved = other.incident.opened_at.replace(minute=11)
    later = dedup_key(type(other.incident)(**{**_fields(other), "opened_at": moved}), "INC-7:x")
    assert dedup_key(one.incident, "INC-7:x") != later


def _fields(case: Case) -> dict[str, object]:
    return {name: getattr(case.incident, name) for name in case.incident.__dataclass_fields__}


def test_a_title_cannot_add_headers_or_lines() -> None:
    case = Case("critical", on_call=awake())
    evil = type(case.incident)(
        **{**_fields(case), "title": "x\r\nBcc: all@example.com\u202e token=hunter2 end"}
    )
    said = letter(evil, "k", data_of(case), "a@example.com", LINKS, sender="p@example.com", at=AT)
    assert "\n" not in said.subject
    assert "\r" not in said.subject
    assert "hunter2" not in said.subject + said.text
    assert "\nBcc:" not in said.text


def test_a_private_incident_is_named_and_not_told() -> None:
    case = Case("critical", kind="security", on_call=awake())
    said = letter(case.incident, "k", data_of(case), "a@example.com", LINKS, sender="p@example.com", at=AT)
    told = call(case.incident, data_of(case), LINKS)
    both = said.subject + said.text + json.dumps(told.body)
    assert "trouble" not in both
    assert "private incident" in said.subject


def test_page_and_resolve_carry_one_key_and_the_shape_of_the_interface() -> None:
    case = Case("critical", on_call=awake())
    page, end = call(case.incident, data_of(case), LINKS), taken_back(case.incident, data_of(case))
    shape = {"event", "dedup_key", "summary", "severity", "incident", "level", "person", "ack_url"}
    assert set(page.body) == set(end.body) == shape
    assert page.body["dedup_key"] == end.body["dedup_key"]
    assert (page.body["event"], end.body["event"]) == ("page", "resolve")
    assert page.body["ack_url"] == "https://bot/ack/TOKEN"
    assert page.key != end.key


def test_a_secret_that_unseen_characters_part_is_masked_all_the_same() -> None:
    case = Case("critical", on_call=awake())
    data = {**data_of(case), "summary": "the token xoxb-\u200b1234567890-abcdefghij leaked"}
    told = letter(case.incident, "k", data, "a@example.com", LINKS, sender="p@example.com", at=AT)
    assert "1234567890" not in told.text
    assert "[masked]" in told.text
