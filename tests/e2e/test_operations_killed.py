"""kill -9 in the middle of a change: what was confirmed ends, once, and loses nothing."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from google.cloud import pubsub_v1
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from tests.e2e.people import People
from tests.e2e.running import Json, Stage, staged, until
from tests.e2e.test_operations import dead_letter

LETTERS = 3000
SPEED = 20.0
TAKEN_UP_S = 120.0  # a dead process's lease on a run lasts a minute


class Listener:
    """A subscription of the test's own to the topic that the dead letters go back to."""

    path = "projects/demo-project/subscriptions/listener"

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._client = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))
        topic = "projects/demo-project/topics/clicks"
        self._client.create_subscription(request={"name": self.path, "topic": topic})

    def heard(self, seconds: float = 5.0) -> list[dict[str, str]]:
        """The attributes of every replayed message that was published."""
        found: list[dict[str, str]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            request = {"subscription": self.path, "max_messages": 1000, "return_immediately": True}
            answer = self._client.pull(request=request, timeout=10)
            if not answer.received_messages:
                if found:
                    break
                continue
            found += [dict(m.message.attributes) for m in answer.received_messages]
            ids = [m.ack_id for m in answer.received_messages]
            self._client.acknowledge(request={"subscription": self.path, "ack_ids": ids})
        return [attributes for attributes in found if "replay_of" in attributes]

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


@contextmanager
def replaying(folder: Path) -> Iterator[tuple[People, Listener]]:
    """A healthy pipeline with many dead letters, and a listener on their topic."""
    with staged(folder) as stage:
        people = People(stage)
        listener = Listener(stage.settings["PUBSUB_EMULATOR_HOST"])
        try:
            people.world(dead_letters=[dead_letter(n) for n in range(LETTERS)])
            yield people, listener
        finally:
            listener.close()


def confirmed(people: People, typed: str, operation: str) -> None:
    """Plan a change in #general, and confirm it."""
    since = people.mark()
    people.stage.command("alice", "general", typed)
    people.click("alice", people.plan(operation, "waiting for confirmation", since), "plan_confirm")


def run_state(stage: Stage, operation: str) -> str:
    """The state of the newest run of an operation, as the bot's database has it."""
    rows = stage.rows(
        f"select state from runs where operation = '{operation}' order by created_at desc limit 1"
    )
    return str(rows[0][0]) if rows else ""


def left(people: People) -> int:
    """Dead letters that the world still holds."""
    return int(people.world()["pipelines"][0]["dead_letters"]["count"])


def new_jobs(people: People) -> list[Json]:
    """Every job that was launched after the first one."""
    return list(people.world()["jobs"])[1:]


def kill_amid_replay(people: People) -> None:
    """kill -9 as soon as the first dead letters are gone and others are not."""
    stage = people.stage
    confirmed(people, f"/dlq replay --limit {LETTERS}", "dlq.replay")
    until(lambda: left(people) < LETTERS, 40, "the replay did not begin", stage.processes.check)
    stage.kill_bot()
    assert run_state(stage, "dlq.replay") == "running"
    assert left(people) > 0, "the replay was over already"


def kill_amid_restart(people: People) -> None:
    """kill -9 while the job that the restart launched is starting."""
    stage = people.stage
    people.world(scenario="job_failed", start_seconds=400)
    people.channel_of("INC-1", 60)
    confirmed(people, "/pipeline restart", "pipeline.restart")
    until(lambda: len(new_jobs(people)) == 1, 40, "no job was launched", stage.processes.check)
    stage.kill_bot()
    assert run_state(stage, "pipeline.restart") == "running"


def assert_replayed(people: People, listener: Listener, copies: int = 0) -> None:
    """Every letter came back, under its own name; at most so many times, where that is told."""
    stage = people.stage
    stage.until(lambda: run_state(stage, "dlq.replay") == "done", TAKEN_UP_S, "the replay was not taken up")
    assert left(people) == 0, "dead letters stayed that pass"
    plans: dict[str, list[str]] = defaultdict(list)
    for attributes in listener.heard():
        plans[attributes["replay_of"]].append(attributes["replay_id"])
    assert len(plans) == LETTERS, "each dead letter came back under its own name"
    assert all(len(set(ids)) == 1 for ids in plans.values()), "a copy is told by the same plan's id"
    assert not copies or max(len(ids) for ids in plans.values()) <= copies, "sent twice"
    people.plan("dlq.replay", "Done")


def assert_restarted_once(people: People) -> None:
    stage = people.stage
    stage.until(
        lambda: run_state(stage, "pipeline.restart") == "done", TAKEN_UP_S, "the restart was not taken up"
    )
    (job,) = new_jobs(people)
    assert job["state"] == "RUNNING"
    assert people.events("INC-1", "operation_verified")[-1]["data"]["severity"] == "ok"


def test_a_killed_replay_and_a_killed_restart_end_once_and_lose_nothing(tmp_path: Path) -> None:
    """Both in one test: each waits for the same minute until the dead process's lease is over."""
    now = time.time()
    for name in ("replay", "restart"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        sender, listener = stack.enter_context(replaying(tmp_path / "replay"))
        starter = People(stack.enter_context(staged(tmp_path / "restart", clock=f"{now},{now},{SPEED}")))
        kill_amid_replay(sender)
        kill_amid_restart(starter)
        sender.stage.start_bot()
        starter.stage.start_bot()
        assert_replayed(sender, listener)
        assert_restarted_once(starter)
