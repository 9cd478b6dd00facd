"""What a person or the bot does to the world works: restart, drain, cancel, replay."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from google.api_core import exceptions

from sandbox.google.events import good_event
from sandbox.google.timeline import seconds
from tests.integration.sandbox_google.google import DEAD_LETTERS, JOB, PROJECT, Google

CLICKS = f"projects/{PROJECT}/topics/clicks"


def click(google: Google, **changes: Any) -> bytes:
    event = good_event("click", seconds(google.clock.now()), Random(1)) | changes
    return json.dumps(event).encode()


def test_restart_recovers_and_takes_visible_time(google: Google) -> None:
    google.world.apply({"scenario": "job_failed"})
    google.clock.go(600)
    job = google.launch()
    assert job.current_state.name == "JOB_STATE_QUEUED"
    google.clock.go(10)
    assert google.get(job.id).current_state.name == "JOB_STATE_PENDING"
    google.clock.go(12)
    assert google.get(job.id).current_state.name == "JOB_STATE_RUNNING"
    lags = []
    for _ in range(7):
        google.clock.go(10)
        lags.append(google.newest("job/data_watermark_age", f'metric.labels.job_id="{job.id}"'))
    assert lags[0] > 400
    assert lags == sorted(lags, reverse=True)
    assert lags[-1] < 10
    assert google.backlog("clicks-sub") < 20
    received = sum(value for name, value in google.counters().items() if name.endswith("_received"))
    assert received > 1500, "what waited was read, not lost"
    letters = google.backlog("dead-letter-sub")
    google.clock.go(600)
    assert google.backlog("dead-letter-sub") == letters


@pytest.mark.parametrize("cause", ["quota", "permission"])
def test_a_restart_fails_again_while_the_cause_stands(google: Google, cause: str) -> None:
    google.world.apply({"scenario": "job_failed", "cause": cause})
    job = google.launch()
    google.clock.go(25)
    assert google.get(job.id).current_state.name == "JOB_STATE_FAILED"
    where = f'logName:"launcher" AND resource.labels.job_id="{job.id}" AND severity>=ERROR'
    assert cause.upper() in str(google.logs(where)[0].json_payload["message"]).upper()
    google.world.apply({"restart": "ok"})
    job = google.launch()
    google.clock.go(25)
    assert google.get(job.id).current_state.name == "JOB_STATE_RUNNING"


def test_a_launch_under_the_name_of_an_active_job_returns_that_job(google: Google) -> None:
    (standing,) = google.active()
    assert google.launch().id == standing.id
    assert len(google.active()) == 1


def test_update_replaces_a_stuck_job(google: Google) -> None:
    google.world.apply({"scenario": "job_stuck"})
    google.clock.go(600)
    (old,) = google.active()
    new = google.launch(update=True)
    assert new.replace_job_id == old.id
    google.clock.go(25)
    gone = google.get(old.id)
    assert gone.current_state.name == "JOB_STATE_UPDATED"
    assert gone.replaced_by_job_id == new.id
    google.clock.go(120)
    assert google.newest("job/system_lag", f'metric.labels.job_id="{new.id}"') <= 5


def test_a_failed_update_leaves_the_old_job_running(google: Google) -> None:
    (old,) = google.active()
    google.world.apply({"restart": "fails"})
    new = google.launch(update=True)
    google.clock.go(30)
    assert google.get(new.id).current_state.name == "JOB_STATE_FAILED"
    assert google.get(old.id).current_state.name == "JOB_STATE_RUNNING"


def test_update_without_a_running_job_is_refused(google: Google) -> None:
    google.world.apply({"scenario": "job_failed"})
    with pytest.raises(exceptions.FailedPrecondition, match="No running job"):
        google.launch(update=True)


def test_drain_and_cancel_take_their_way(google: Google) -> None:
    (job,) = google.active()
    assert google.stop(job.id, "DRAINED").current_state.name == "JOB_STATE_DRAINING"
    google.clock.go(20)
    assert google.get(job.id).current_state.name == "JOB_STATE_DRAINED"
    with pytest.raises(exceptions.FailedPrecondition):
        google.stop(job.id, "CANCELLED")
    second = google.launch()
    google.clock.go(30)
    assert google.stop(second.id, "CANCELLED").current_state.name == "JOB_STATE_CANCELLING"
    google.clock.go(10)
    assert google.get(second.id).current_state.name == "JOB_STATE_CANCELLED"


def test_the_drain_of_a_stuck_job_hangs(google: Google) -> None:
    google.world.apply({"scenario": "job_stuck"})
    (job,) = google.active()
    google.stop(job.id, "DRAINED")
    google.clock.go(3600)
    assert google.get(job.id).current_state.name == "JOB_STATE_DRAINING"


def test_replayed_events_are_read_and_counted_while_the_job_runs(google: Google) -> None:
    google.clock.go(60)
    before = google.counters()["click_valid"]
    for number in range(50):
        google.publisher.publish(CLICKS, click(google), replay_of=str(number), replay_count="1").result(5)
    google.clock.go(5)
    grown = google.counters()["click_valid"] - before
    assert 50 < grown < 80
    assert google.pull(f"projects/{PROJECT}/subscriptions/clicks-sub") == []
    assert google.pull() == []


def test_an_invalid_replay_comes_back_with_its_count_and_attributes(google: Google) -> None:
    body = click(google, page_type="checkout")
    google.publisher.publish(CLICKS, body, replay_of="m-1", replay_count="2", source="shop").result(5)
    google.clock.go(10)
    (letter,) = [json.loads(one.message.data) for one in google.pull()]
    assert letter["payload"].encode() == body
    assert letter["replay_count"] == 2
    assert letter["attributes"] == {"replay_of": "m-1", "replay_count": "2", "source": "shop"}
    assert letter["violations"] == [{"field": "page_type", "rule": "choice", "value": "checkout"}]
    assert google.counters()["click_dead_lettered"] == 1


def test_the_same_replay_twice_is_a_duplicate(google: Google) -> None:
    for _ in range(2):
        google.publisher.publish(CLICKS, click(google), replay_of="m-1", replay_count="1").result(5)
    google.clock.go(10)
    assert google.counters()["click_duplicates"] == 1


def test_what_is_published_while_the_job_is_down_waits(google: Google) -> None:
    google.world.apply({"scenario": "job_failed"})
    google.publisher.publish(CLICKS, click(google, page_type="checkout"), mark="waits").result(5)
    google.clock.go(300)
    (waiting,) = google.pull(f"projects/{PROJECT}/subscriptions/clicks-sub")
    assert waiting.message.attributes["mark"] == "waits"
    google.subscriber.modify_ack_deadline(
        subscription=f"projects/{PROJECT}/subscriptions/clicks-sub",
        ack_ids=[waiting.ack_id],
        ack_deadline_seconds=0,
    )
    google.subscriber.seek(request={"subscription": DEAD_LETTERS, "time": google.clock.now()})
    google.launch()
    google.clock.go(120)
    assert google.pull(f"projects/{PROJECT}/subscriptions/clicks-sub") == []
    assert len(google.pull()) == 1


def test_a_launch_is_checked_first(google: Google) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="job name"):
        google.launch(job_name="Not_A_Name")
    with pytest.raises(exceptions.InvalidArgument, match="gs://"):
        google.launch(container_spec_gcs_path="/tmp/x.json")
    with pytest.raises(exceptions.NotFound):
        google.launch(container_spec_gcs_path="gs://elsewhere/none.json")
    assert [job.name for job in google.active()] == [JOB]
