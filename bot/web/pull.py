"""The durable way in for a bot without a public address: Pub/Sub pull of alerts and budgets.

A message is acknowledged only after its inbox row is committed, so a kill in between makes a copy,
which the inbox knows by its message id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from bot.web.intake import Intake, PulledMessage

log = structlog.get_logger()
AT_ONCE = 100


class Puller:
    """Pulls from the subscriptions in turn. ``clients`` gives Google's subscriber client."""

    def __init__(self, clients: Any, intake: Intake, subscriptions: Sequence[str], project: str) -> None:
        self._clients = clients
        self._intake = intake
        self._paths = [
            name if name.startswith("projects/") else f"projects/{project}/subscriptions/{name}"
            for name in subscriptions
        ]

    async def turn(self) -> int:
        """One pull of every subscription at the same time; returns how many messages were stored."""
        return sum(await asyncio.gather(*(self._one(path) for path in self._paths)))

    async def _one(self, path: str) -> int:
        try:
            found = await asyncio.to_thread(self._pull, path)
        except Exception as error:  # noqa: BLE001 - Google's errors are many, and all mean: later
            if "Deadline" not in type(error).__name__:
                log.warning(
                    "pull_failed", action="pull_failed", subscription=path, error=type(error).__name__
                )
            return 0
        if not found:
            return 0
        messages = [
            PulledMessage(
                subscription=path,
                message_id=item.message.message_id,
                data=bytes(item.message.data),
                attributes=dict(item.message.attributes),
            )
            for item in found
        ]
        await self._intake.store_pulled(messages)
        await asyncio.to_thread(self._acknowledge, path, [item.ack_id for item in found])
        return len(found)

    def _pull(self, path: str) -> Sequence[Any]:
        request = {"subscription": path, "max_messages": AT_ONCE}
        return list(self._clients.subscriber.pull(request=request, timeout=5.0, retry=None).received_messages)

    def _acknowledge(self, path: str, ack_ids: Sequence[str]) -> None:
        request = {"subscription": path, "ack_ids": list(ack_ids)}
        self._clients.subscriber.acknowledge(request=request, timeout=10.0)
