"""SIGTERM in the middle of a long operation: the bot ends in time, and what it was at is taken up, or asked about.

The same with kill -9, where nobody can give anything back: tests/e2e/test_operations_killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.e2e.people import People
from tests.e2e.running import staged, until
from tests.e2e.test_operations_killed import (
    LETTERS,
    Listener,
    assert_replayed,
    assert_restarted_once,
    confirmed,
    left,
    new_jobs,
    replaying,
    run_state,
)

SPEED = 20.0
ENDED_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Three bots that were told to stop in the middle of something, and started again. Of the replay: how many dead
    letters were left then, and as what its run stood in the database."""

    starter: People
    tester: People
    sender: People
    listener: Listener
    left_over: int
    state: str


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    """A pipeline whose dead letters are on their way back, one that was restarted and is being verified, and one in the
    middle of a load test; their bots are told to stop then, and started again."""
    now = time.time()
    with ExitStack() as stack:
        sender, listener = stack.enter_context(replaying(tmp_path_factory.mktemp("replay")))
        # Twelve seconds' worth: an orderly end leaves a change six to finish in.
        confirmed(sender, f"/dlq replay --limit {LETTERS} --canary 0 --rate 250", "dlq.replay")
        until(lambda: left(sender) < LETTERS, 40, "nothing is sent back", sender.stage.processes.check)
        stop(sender)
        left_over, state = left(sender), run_state(sender.stage, "dlq.replay")
        sender.stage.start_bot()
        starter = People(
            stack.enter_context(staged(tmp_path_factory.mktemp("restart"), clock=f"{now},{now},{SPEED}"))
        )
        tester = People(stack.enter_context(staged(tmp_path_factory.mktemp("loadtest"))))
        starter.world(scenario="job_failed", start_seconds=400)
        starter.channel_of("INC-1", 60)
        confirmed(starter, "/pipeline restart", "pipeline.restart")
        confirmed(tester, "/pipeline loadtest --duration 600 --rate 5", "pipeline.loadtest")
        until(lambda: len(new_jobs(starter)) == 1, 40, "no job was launched", starter.stage.processes.check)
        until(
            lambda: run_state(tester.stage, "pipeline.loadtest") == "running",
            40, "the load test does not run", tester.stage.processes.check,
        )  # fmt: skip
        for people in (starter, tester):
            stop(people)
        for people in (starter, tester):
            people.stage.start_bot()
        yield Stopped(
            starter=starter, tester=tester, sender=sender, listener=listener, left_over=left_over, state=state
        )


def stop(people: People) -> None:
    """As a platform does, twice, while somebody has not said all of a request."""
    bot = people.stage.processes
    with contextlib.closing(socket.create_connection(("127.0.0.1", people.stage.port), timeout=40)) as slow:
        slow.sendall(b"POST /webhooks/cloud-monitoring HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
        os.kill(bot.pid("bot"), signal.SIGTERM)
        until(lambda: refuses(people.stage.port) or ended(people), ENDED_S, "it still listens", lambda: None)
        with contextlib.suppress(ProcessLookupError):
            os.kill(bot.pid("bot"), signal.SIGTERM)
        until(lambda: ended(people), ENDED_S, "it does not end", lambda: None)
    assert bot.code("bot") == 0, bot.last_lines()


def ended(people: People) -> bool:
    return people.stage.processes.code("bot") is not None


def refuses(port: int) -> bool:
    """Whether nobody listens any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_restart_is_verified_by_the_next_process_and_launches_nothing_twice(
    stopped: Stopped,
) -> None:
    starter = stopped.starter
    assert_restarted_once(starter)
    for kind in ("plan_confirmed", "operation_verified", "operation_finished"):
        events = starter.events("INC-1", kind)
        assert len(events) == 1, f"{kind}: {events}"


def test_what_may_not_be_repeated_blindly_is_unknown_and_a_person_is_asked(
    stopped: Stopped,
) -> None:
    tester = stopped.tester
    tester.stage.until(
        lambda: run_state(tester.stage, "pipeline.loadtest") == "unknown", 40, "it is not unknown"
    )
    plan = tester.plan("pipeline.loadtest", "Interrupted")
    assert "Look with `/pipeline health`, then plan again." in plan["text"]
    assert len(tester.messages(event="streamwatch_plan")) == 1, "shown twice"


def test_a_replay_gives_back_what_it_holds_and_the_next_process_sends_the_rest_at_once_and_nothing_twice(
    stopped: Stopped,
) -> None:
    sender = stopped.sender
    assert 0 < stopped.left_over < LETTERS
    assert stopped.state == "running", "neither done nor failed: taken up again"
    assert_replayed(sender, stopped.listener, copies=1)
    said = sender.saw("Replayed 3,000 dead letters", channel="general")["text"]
    assert "of them before an interruption" in said
    assert len(sender.messages(event="streamwatch_plan")) == 1, "shown twice"
