"""Bigtable: cells of one table, written so that writing them twice changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pipeline.errors import Unreachable
from pipeline.google.errors import explained

FAMILY: Final = "stats"
_PASSING: Final = frozenset({4, 8, 10, 14})  # deadline, exhausted, aborted, unavailable


@dataclass(frozen=True, slots=True)
class Cells:
    """Numbers of one row, all at one time: a cell of that column and time is replaced, never added to."""

    key: bytes
    at: datetime
    values: Mapping[str, int]


class StatsTable:
    """One table, named PROJECT/INSTANCE/TABLE; BIGTABLE_EMULATOR_HOST leads elsewhere."""

    def __init__(self, name: str, patience_s: float) -> None:
        from google.cloud import bigtable

        project, instance, table = name.split("/")
        self.name = table
        self.patience_s = patience_s
        self._client = bigtable.Client(project=project)
        self._table = self._client.instance(instance).table(table)

    def write(self, cells: Sequence[Cells]) -> dict[int, str]:
        """Writes them; those that were refused for good, by their place, with the reason.

        PipelineError when the service cannot be reached; the same call may be repeated then.
        """
        from google.cloud.bigtable.table import DEFAULT_RETRY

        statuses: list[Any] = []
        with explained("Bigtable", f"writing to {self.name}"):
            rows = [self._row(one) for one in cells]
            statuses = self._table.mutate_rows(
                rows, retry=DEFAULT_RETRY.with_timeout(self.patience_s), timeout=self.patience_s
            )
        passing = [status for status in statuses if status.code in _PASSING]
        if passing:
            raise Unreachable(
                f"Bigtable did not take {len(passing)} rows of {self.name}: {passing[0].message}"
            )
        return {
            place: f"{status.message or 'refused'} (code {status.code})"
            for place, status in enumerate(statuses)
            if status.code
        }

    def close(self) -> None:
        self._client.close()

    def _row(self, cells: Cells) -> Any:
        row = self._table.direct_row(cells.key)
        for column, value in cells.values.items():
            row.set_cell(FAMILY, column.encode(), value.to_bytes(8, "big", signed=True), timestamp=cells.at)
        return row


def emulated() -> bool:
    """Whether BIGTABLE_EMULATOR_HOST, as Google's client understands it, leads away from Google."""
    from google.cloud.environment_vars import BIGTABLE_EMULATOR

    return bool(os.environ.get(BIGTABLE_EMULATOR))
