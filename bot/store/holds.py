"""Alerts that are held back (a maintenance, a running operation), inside one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from bot.core.alert_model import Alert
from bot.desk.ports import HeldAlert
from bot.store.codec import loads, storable
from bot.store.schema import alerts, holds
from bot.store.session import Session


class Holds(Session):
    """The held alerts' part of a transaction."""

    def hold_alert(self, hold: str, source: str, key: str) -> None:
        """One more notification of an alert that this hold keeps back."""
        row = {
            "hold": hold,
            "source": storable(source),
            "key": storable(key),
            "notifications": 1,
            "waits": True,
        }
        insert = self._insert(holds).values(**row)
        self._execute(
            insert.on_conflict_do_update(
                index_elements=[holds.c.hold, holds.c.source, holds.c.key],
                set_={"notifications": holds.c.notifications + 1, "waits": True},
            )
        )

    def held(self, hold: str) -> Sequence[HeldAlert]:
        """All alerts that this hold kept back, in a fixed order."""
        query = (
            sa.select(holds.c.notifications, holds.c.waits, alerts.c.incident, alerts.c.data)
            .join(alerts, sa.and_(alerts.c.source == holds.c.source, alerts.c.key == holds.c.key))
            .where(holds.c.hold == hold)
            .order_by(holds.c.source, holds.c.key)
        )
        return [
            HeldAlert(
                alert=loads(row.data, Alert),
                incident=row.incident,
                notifications=row.notifications,
                waits=bool(row.waits),
            )
            for row in self._execute(query)
        ]

    def hold_of(self, source: str, key: str) -> tuple[str, bool] | None:
        """(the newest hold that kept an alert back, whether it waits there still); None for none."""
        query = sa.select(holds.c.hold, holds.c.waits).where(
            holds.c.source == storable(source), holds.c.key == storable(key)
        )
        row = self._execute(query.order_by(holds.c.waits.desc(), holds.c.hold.desc()).limit(1)).one_or_none()
        return None if row is None else (row.hold, bool(row.waits))

    def waiting_holds(self) -> Sequence[str]:
        """Holds with alerts that wait for their end."""
        waits = sa.text("waits") if self._postgres else sa.text("waits = 1")
        return list(
            self._execute(sa.select(holds.c.hold).where(waits).distinct().order_by(holds.c.hold)).scalars()
        )

    def release(self, hold: str) -> None:
        """Its alerts wait no more; the counts stay."""
        self._execute(sa.update(holds).where(holds.c.hold == hold).values(waits=False))
