"""A page in doubt that nobody can look up goes out again, marked, after as many look-ups as the policy says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.clock import ManualClock
from bot.core import lifecycle
from bot.core.alert_model import Kind, Severity
from bot.core.delivery import Ambiguous, Leased, LookupFailed, Outbound, Outcome, Priority, Sent, State
from bot.core.delivery import Kind as Row
from bot.core.incident import Incident
from bot.core.policy import Policy
from bot.desk.change import change
from bot.desk.deliver import Deliverer
from bot.store.database import Database
from tests.unit.desk.test_hand_overs import HOUSE, SUNDAY


class Blind:
    """A Slack that takes pages without saying so, and that nobody can look into."""

    def __init__(self) -> None:
        self.looked = 0
        self.sent: list[str] = []
        self.pages: list[bool] = []  # each page that was sent: whether it says that it may be a repeat

    async def send(self, row: Leased, incident: Incident | None) -> Outcome:
        self.sent.append(row.outbound.key)
        return Sent(result={"channel": "C1", "name": "inc", "ts": "1.0"})

    async def send_pages(
        self, rows: Sequence[Leased], incidents: Mapping[int, Incident]
    ) -> Sequence[Outcome]:
        if rows[0].outbound.data.get("refresh"):
            return [Sent()]  # an edit of what stands there
        self.pages += [bool(row.outbound.data.get("repeat")) for row in rows]
        return [Sent() if self.pages[-1] else Ambiguous(reason="reset") for _ in rows]

    async def look_up(self, row: Leased, incident: Incident | None) -> Sent | None:
        self.looked += 1
        raise LookupFailed("reset")

    def ready_in(self, row: Leased) -> float:
        return 0.0


@pytest.mark.parametrize("lookups", [1, 3, 5])
async def test_so_many_failed_lookups_as_the_policy_of_the_incident_says(
    tmp_path: Path, lookups: int
) -> None:
    clock, slack = ManualClock(SUNDAY), Blind()
    first = lifecycle.opened(
        project="p", pipeline="orders", family="stream", title="Orders stopped", kind=Kind.HEALTH,
        severity=Severity.WARNING, policy=replace(Policy(), lookups=lookups), now=SUNDAY, actor="watch", reason="x",
    )  # fmt: skip
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:
        deliverer = Deliverer(
            store=database, sender=slack, house=lambda: HOUSE, now=clock.now, monotonic=clock.monotonic
        )
        database.write(lambda tx: change(tx, HOUSE, None, tx.next_number(), [first]))
        for _ in range(10):
            await deliverer.turn()
            await deliverer.drain(30)
            clock.advance(timedelta(seconds=3))
    assert slack.pages == [False, True]
    assert slack.looked == lookups


async def test_what_left_is_never_sent_again_because_nobody_can_say_what_it_means(tmp_path: Path) -> None:
    clock, slack = ManualClock(SUNDAY), Blind()
    first = lifecycle.opened(
        project="p", pipeline="orders", family="stream", title="Orders stopped", kind=Kind.HEALTH,
        severity=Severity.WARNING, policy=Policy(), now=SUNDAY, actor="watch", reason="x",
    )  # fmt: skip
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:
        deliverer = Deliverer(
            store=database, sender=slack, house=lambda: HOUSE, now=clock.now, monotonic=clock.monotonic
        )
        database.write(lambda tx: change(tx, HOUSE, None, tx.next_number(), [first]))
        nameless = Outbound(
            key="page:x:mail", kind=Row.PAGE_MAIL, lane="x", priority=Priority.PAGE, incident=1,
            data={"page": "x", "due_at": SUNDAY.isoformat()},
        )  # fmt: skip
        database.write(lambda tx: tx.enqueue([nameless]))
        for _ in range(10):
            await deliverer.turn()
            await deliverer.drain(30)
            clock.advance(timedelta(seconds=30))
        assert database.read(lambda tx: tx.outbox_state("page:x:mail")) == (State.SENT, "")
    assert slack.sent.count("page:x:mail") == 1


class Doubtful(Blind):
    """A Slack of which the first answer got lost, and that shows nothing of what it was sent."""

    async def send(self, row: Leased, incident: Incident | None) -> Outcome:
        self.sent.append(row.outbound.key)
        return Ambiguous(reason="reset") if len(self.sent) == 1 else Sent()

    async def look_up(self, row: Leased, incident: Incident | None) -> Sent | None:
        self.looked += 1
        return None


async def test_a_picture_in_doubt_is_looked_up_and_sent_though_drawing_it_takes_most_of_a_lease(
    tmp_path: Path,
) -> None:
    clock, slack = ManualClock(SUNDAY), Doubtful()

    def monotonic() -> float:
        clock.advance(timedelta(milliseconds=10))  # nothing takes no time at all
        return clock.monotonic()

    chart = {"name": "x", "title": "x", "note": "", "rows": [["a", 1.0, "1"]]}
    picture = Outbound(
        key="round:x:chart", kind=Row.FILE, lane="x", priority=Priority.NEWS,
        data={"channel": "C1", "filename": "x.png", "chart": chart},
    )  # fmt: skip
    with Database(f"sqlite:///{tmp_path / 'bot.db'}", clock, create=True) as database:
        deliverer = Deliverer(
            store=database, sender=slack, house=lambda: HOUSE, now=clock.now, monotonic=monotonic
        )
        database.write(lambda tx: tx.enqueue([picture]))
        for _ in range(4):
            await deliverer.turn()
            await deliverer.drain(30)
            clock.advance(timedelta(seconds=3))
        assert database.read(lambda tx: tx.outbox_state("round:x:chart")) == (State.SENT, "")
    assert slack.looked == 1
