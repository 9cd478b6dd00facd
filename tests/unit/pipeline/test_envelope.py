"""Dead letters in every form, masked, grouped, and decided about by the pipeline's own validator."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import Pipeline
from pipeline.deadletters import Decision, Preview, decide
from pipeline.envelope import cause, read
from pipeline.events import Invalid, Violation
from pipeline.masking import MASK, mask_payload, mask_text, shape
from pipeline.quality import DataQualityValidator, cause_of_event

from .test_events import CLICK, TRANSACTION

ORDERS = Pipeline(name="orders", topics=("clicks", "transactions", "stock"))
KEYS = (
    "payload",
    "payload_base64",
    "error",
    "event_type",
    "violations",
    "attributes",
    "stage",
    "replay_count",
)
ORIGINAL = json.dumps(CLICK).encode()


def test_an_envelope_gives_back_the_original_bytes_and_attributes() -> None:
    raw = b"\xff\xfe not text"
    body = {
        "event_type": "unknown",
        "error": "not UTF-8",
        "payload_base64": base64.b64encode(raw).decode(),
        "attributes": {"a": "1", "CloudPubSubDeadLetterSourceSubscription": "x"},
        "violations": [{"field": "", "rule": "encoding", "value": None}],
        "stage": "parse",
        "first_failed_at": "2026-11-22T10:00:00Z",
        "replay_count": 2,
    }
    letter = read(json.dumps(body).encode(), {"event_type": "unknown"})
    assert letter.payload == raw
    assert letter.attributes == {"a": "1"}
    assert letter.violations == (Violation("", "encoding", None),)
    assert letter.replay_count == 2
    assert letter.first_failed_at == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert cause(letter) == "invalid format"


def test_the_simple_form_and_the_forwarded_form_are_understood() -> None:
    simple = read(
        json.dumps({"event_type": "click", "error": "boom", "payload": ORIGINAL.decode()}).encode(),
        {"k": "v"},
    )
    assert (simple.payload, simple.event_type, simple.error) == (ORIGINAL, "click", "boom")
    attributes = {"CloudPubSubDeadLetterSourceSubscription": "clicks-sub", "replay_count": "1", "k": "v"}
    forwarded = read(ORIGINAL, attributes)
    assert (forwarded.payload, forwarded.event_type) == (ORIGINAL, "click")
    assert "clicks-sub" in forwarded.error
    assert dict(forwarded.attributes) == {"replay_count": "1", "k": "v"}
    assert forwarded.replay_count == 1


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=40)
    | st.dictionaries(
        st.sampled_from(
            [
                "payload",
                "payload_base64",
                "error",
                "event_type",
                "violations",
                "attributes",
                "stage",
                "replay_count",
            ]
        ),
        st.none()
        | st.integers()
        | st.text(max_size=6)
        | st.lists(st.none() | st.dictionaries(st.text(), st.text())),
    ).map(lambda body: json.dumps(body).encode())
)
def test_nothing_in_the_queue_makes_reading_deciding_or_masking_fail(data: bytes) -> None:
    letter = read(data, {})
    assert decide(letter, ORDERS, None).fate in ("replay", "invalid", "sink", "capped", "no topic")
    assert len(mask_payload(letter.payload)) <= 600
    assert isinstance(letter.group, str)


@pytest.mark.parametrize(
    ("more", "fate"),
    [
        ({}, "replay"),
        ({"stage": "bigquery:sales_summary"}, "sink"),
        ({"stage": "bigtable:product_stats"}, "sink"),
        ({"replay_count": 2}, "replay"),
        ({"replay_count": 3}, "capped"),
        ({"payload": "{}"}, "invalid"),
    ],
)
def test_fates(more: dict[str, object], fate: str) -> None:
    body = {"event_type": "click", "error": "x", "payload": ORIGINAL.decode(), "stage": "validate"} | more
    assert decide(read(json.dumps(body).encode(), {}), ORDERS, None).fate == fate


def test_topics_come_from_the_list_or_the_mapping() -> None:
    assert [ORDERS.topic_of(kind) for kind in ("click", "transaction", "stock", "unknown")] == [
        "clicks",
        "transactions",
        "stock",
        None,
    ]
    mapped = Pipeline(name="m", topic_by_event={"click": "web-events"}, topics=("web-events",))
    assert mapped.topic_of("click") == "web-events"
    assert decide(read(ORIGINAL, {}), Pipeline(name="n"), None).fate == "no topic"


def test_masking_covers_what_must_not_be_shown() -> None:
    event = TRANSACTION | {
        "user_id": "u-77",
        "card_number": "4111",
        "note": "call 0171 5551 2345 or a.b@c.example",
    }
    shown = mask_payload(json.dumps(event).encode())
    for hidden in ("u-77", "4111", "paypal", "0171", "a.b@c.example"):
        assert hidden not in shown
    assert "2026-11-22T10:00:00+01:00" in shown
    broken = mask_payload(b'{"user_id": "u-77", "session_id": "s-9", "quantity": 3, "x": 123456789012')
    for hidden in ("u-77", "s-9", "123456789012"):
        assert hidden not in broken
    assert '"quantity": 3' in broken
    assert mask_text("user_id='u-77' failed") == f"user_id={MASK} failed"
    assert "\n" not in mask_payload(b"a\nb\x1b[31m")
    assert "\x1b" not in mask_payload(b"a\nb\x1b[31m")


def test_messages_of_one_shape_are_one_group() -> None:
    one = shape(
        "row 17 of table 'sales' failed at 2026-11-22T10:00:00Z: id 8f14e45f-ceea-467a-9575-6f0f2f1d3c11"
    )
    other = shape(
        "row 23 of table 'clicks' failed at 2026-11-23T11:30:10Z: id 0f14e45f-ceea-467a-9575-6f0f2f1d3c22\nmore"
    )
    assert one == other
    assert shape("KeyError: store") != shape("KeyError: product")


def test_the_four_root_causes_are_told_apart() -> None:
    validator = DataQualityValidator()
    assert validator.metrics.error_rate == 0.0
    for changes, expected in (
        ({"user_id": 5}, "schema change"),
        ({"timestamp": "yesterday"}, "invalid format"),
        ({"page_type": "checkout"}, "business rule violation"),
    ):
        outcome = validator.validate(CLICK | changes)
        assert isinstance(outcome, Invalid)
        assert cause_of_event(outcome.violations, outcome.unknown_fields) == expected
    missing = {key: value for key, value in CLICK.items() if key != "session_id"}
    validator.validate(missing)
    validator.validate(missing | {"session": "renamed"})
    validator.validate(json.dumps(CLICK))
    validator.validate(b"{")
    metrics = validator.metrics
    assert metrics.by_cause == {
        "schema change": 2,
        "invalid format": 2,
        "business rule violation": 1,
        "required field missing": 1,
    }
    assert (metrics.total_events, metrics.valid_events, metrics.invalid_events) == (7, 1, 6)
    assert metrics.error_rate == pytest.approx(6 / 7)
    assert metrics.by_rule["session_id:required"] == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("session_id: required", "session_id: required"),
        ("session_id:required, user_id:empty", "session_id:required, user_id:empty"),
        ("session_id: required-7f3a", "session_id: •••"),
        ("user_id=required@example.com", "user_id=•••"),
        ("session_id: s-881", "session_id: •••"),
    ],
)
def test_the_name_of_a_broken_rule_is_no_secret_but_a_value_is(text: str, shown: str) -> None:
    assert mask_text(text) == shown


def test_an_event_of_the_first_day_that_there_is_stops_no_preview() -> None:
    preview = Preview()
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))  # in UTC it would be in no year
    preview.add(Decision("replay", topic="clicks", event_time=first), datetime(2026, 11, 20, tzinfo=UTC))
    assert preview.late_days == {"0001-01-01": 1}
