"""What could not be used and what will not be sent is shown with its reason, as the operations page reads it."""

from __future__ import annotations

import pytest

from bot.clock import ManualClock
from bot.core.delivery import Refused, settle
from bot.core.policy import Policy
from bot.core.roster import Always, FirstLevel, Person, Roster
from bot.desk.house import House
from bot.reading import Reading
from bot.store.database import Database
from bot.store.tx import StoreTx
from tests.integration.store.making import open_incident, row


@pytest.fixture
def reading(database: Database, clock: ManualClock) -> Reading:
    """Of a house with one person."""
    roster = Roster(
        people={"alice": Person(name="alice", slack="UALICE", email="")},
        first=FirstLevel(primary=Always("alice")),
    )
    house = House(roster=roster, policy=Policy(), runbooks=(), pipelines=(), operations={})
    return Reading(database, lambda: house, clock)


async def test_what_was_put_aside_is_shown_with_its_reason(
    database: Database, clock: ManualClock, reading: Reading
) -> None:
    """Of a private incident nothing is."""
    assert (await reading.operations()).aside == []
    database.write(lambda tx: tx.inbox_put("cloud-monitoring", "a", b"{}", {}, dead="`incident` is missing"))
    public, private = open_incident(database), open_incident(database, private=True)
    made = [row(f"post:{n}", incident=n, lane=f"lane:{n}") for n in (public.id, private.id, None)]
    database.write(lambda tx: tx.enqueue(made))

    def refuse(tx: StoreTx) -> None:
        for lease in tx.claim(9):
            tx.finish(lease, settle(lease, Refused(reason=f"refused {lease.outbound.incident}")))

    database.write(refuse)
    told = (await reading.operations()).aside
    assert [(each.what, each.reason) for each in told] == [
        ("notification 1 from cloud-monitoring", "`incident` is missing"),
        ("post", "refused None"),
        (f"post of INC-{public.id}", f"refused {public.id}"),
    ]
    assert {each.at.utcoffset() for each in told} == {clock.now().utcoffset()}
