"""Slack limits, fails, breaks off and forgets to answer: everything arrives, once."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from bot.demo_world import get
from tests.e2e.alerts import alert
from tests.e2e.people import People
from tests.e2e.running import LONG, Json, Stage, headlines, metadata, page_places, staged

FAULTS: dict[str, dict[str, Any]] = {
    "limited": {"kind": "ratelimited", "retry_after": 2},
    "failed": {"kind": "http_500"},
    "failed-after": {"kind": "http_500", "after_accept": True},
    "unavailable-after": {"kind": "http_503", "after_accept": True},
    "broken": {"kind": "reset"},
    "broken-after": {"kind": "reset", "after_accept": True},
    "internal-error": {"kind": "error", "error": "internal_error"},
    "internal-error-after": {"kind": "error", "error": "internal_error", "after_accept": True},
}
METHODS = (
    "chat.postMessage",
    "conversations.create",
    "chat.update",
    "pins.add",
    "files.getUploadURLExternal",
    "files.completeUploadExternal",
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """One bot and one Slack for the module; each test's pipeline has a name of its own."""
    with staged(tmp_path_factory.mktemp("faults")) as stage:
        yield People(stage)


def fault(stage: Stage, method: str, count: int = 1, **how: Any) -> None:
    """Plan a fault of Slack's Web API."""
    stage.sandbox.post("/sim/faults", {"method": method, "count": count, **how})


def no_more_faults(stage: Stage) -> None:
    """Every planned fault was met."""

    def left() -> bool:
        return not get(f"{stage.sandbox.url}/sim/faults")["faults"]

    stage.until(left, 60, "some faults were not met")


def opened(people: People, pipeline: str) -> Json:
    """An alert for a pipeline of this name, and its incident once it is there."""
    answer = people.stage.post(alert(f"0.{pipeline}", pipeline=pipeline))
    assert answer.accepted, answer

    def there() -> Json | None:
        return next((i for i in people.stage.incidents() if i["pipeline"] == pipeline), None)

    found = people.stage.until(there, 40, f"no incident for {pipeline}")
    assert found is not None
    return found


def assert_everything_is_there_once(people: People, name: str) -> Json:
    """One channel with one pinned headline; no outbox id twice; each page in both places."""
    state = people.stage.state()
    prefix = f"inc-{int(name.removeprefix('INC-')):04d}-"
    channels = [c for c in state["channels"] if str(c.get("name") or "").startswith(prefix)]
    assert len(channels) == 1, [c["name"] for c in channels]
    (headline,) = headlines(channels[0])
    assert channels[0]["pins"] == [headline["ts"]]
    places = Counter(page_places(state))
    assert [place for place, count in places.items() if count > 1] == []
    incident = people.stage.incident(name)
    assert all(page["sent_at"] for page in incident["pages"])
    sent = Counter(
        str(payload.get("outbox_id"))
        for message in channels[0]["messages"]
        for payload in [metadata(message)[1]]
        if payload.get("outbox_id")
    )
    assert [key for key, count in sent.items() if count > 1] == []
    return dict(channels[0])


def reviewed(people: People, name: str) -> None:
    """Resolve it although its alert is open, which asks first, and wait for the review."""
    room = people.channel_of(name)
    since = people.mark()
    people.stage.command("alice", room, "/incident resolve it was a drill")
    asked = people.saw("Resolving mutes", channel=room, since=since, seconds=45)
    people.click("alice", asked, "incident_resolve")
    people.saw(f"Review of {name} is in this channel as a file.", channel=room, seconds=60)


def assert_one_review(people: People, name: str) -> None:
    """Everything of the incident is there once, the review too."""
    channel = assert_everything_is_there_once(people, name)
    assert len(channel["files"]) == 1, [f["name"] for f in channel["files"]]


def meets(people: People, story: str, labels: Iterable[str]) -> None:
    """Open an incident for each fault, with all the faults standing on every method; resolve them all."""
    for label in labels:
        for method in METHODS:
            fault(people.stage, method, **FAULTS[label])
    names = [str(opened(people, f"job-{story}-{label}")["id"]) for label in labels]
    for name in names:
        people.channel_of(name, 60)
    people.stage.until_quiet(90)
    for name in names:
        reviewed(people, name)
    people.stage.until_quiet(90)
    no_more_faults(people.stage)
    for name in names:
        assert_one_review(people, name)
    assert people.stage.health()["outbox_dead"] == 0


def test_incidents_open_and_are_reviewed_once_whatever_slack_does(people: People) -> None:
    meets(people, "all", list(FAULTS))


@pytest.mark.parametrize("label", FAULTS if LONG else ["limited"])
def test_an_incident_meets_one_kind_of_fault_everywhere(people: People, label: str) -> None:
    meets(people, "one", [label])


def test_what_slack_accepted_without_an_answer_is_not_sent_again(people: People) -> None:
    for method in ("chat.postMessage", "conversations.create", "files.completeUploadExternal"):
        fault(people.stage, method, kind="timeout", after_accept=True)
    name = str(opened(people, "job-silent")["id"])
    # Slack made the channel, and the bot does not know it yet; its name says what it is for.
    people.ask("dave", people.channel_of(name), "/incident timers", f"Timers of {name}")
    people.stage.until_quiet(60)
    reviewed(people, name)
    no_more_faults(people.stage)
    people.stage.until_quiet(60)
    assert_one_review(people, name)


def test_while_slack_is_away_intake_goes_on_and_pages_say_how_late_they_were(people: People) -> None:
    fault(people.stage, "*", count=100_000, kind="reset")
    incident = opened(people, "job-away")
    late = people.stage.until(
        lambda: (lambda h: h if h["status"] == "late" else None)(people.stage.health()),
        60,
        "/healthz does not say that a page is late",
    )
    assert late is not None
    assert late["pages_late"] >= 1
    assert get(f"{people.stage.app_url}/readyz")["status"] == "ready"
    for number in range(5):
        assert people.stage.post(alert(f"0.away{number}", pipeline="job-away")).accepted
    _forget_faults(people.stage)
    name = str(incident["id"])
    people.channel_of(name, 90)
    people.stage.until_quiet(90)
    assert_everything_is_there_once(people, name)
    page = people.page("alice")
    assert "late" in page["text"].lower(), page["text"]
    delivered = people.events(name, "page_delivered")
    assert delivered
    assert all(e["data"]["late_s"] > 30 for e in delivered)
    people.stage.until(lambda: people.stage.health()["status"] == "ok", 40, "/healthz still says late")


def _forget_faults(stage: Stage) -> None:
    request = urllib.request.Request(f"{stage.sandbox.url}/sim/faults", method="DELETE")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
