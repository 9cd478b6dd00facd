"""Bigtable: cells of one table, written so that writing them twice changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from pipeline.errors import Unreachable
from pipeline.google.calls import repeatable
from pipeline.google.clients import Clients, GoogleSettings
from pipeline.google.errors import explained
from pipeline.tables import FAMILY, Cells

_PASSING: Final = frozenset({4, 8, 10, 14})  # deadline, exhausted, aborted, unavailable
_INVALID: Final = 3
_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0


class StatsTable:
    """One table, named PROJECT/INSTANCE/TABLE.

    Without a ``client`` it makes its own, which BIGTABLE_EMULATOR_HOST leads elsewhere.
    """

    def __init__(
        self,
        name: str,
        patience_s: float,
        client: Any = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        project, instance, self.name = name.split("/")
        self._path = f"projects/{project}/instances/{instance}/tables/{self.name}"
        self._own = None if client is not None else Clients(_settings())
        self._client = client if self._own is None else self._own.bigtable
        self._patience_s = patience_s
        self._sleep = sleep

    def write(self, cells: Sequence[Cells]) -> dict[int, str]:
        """Writes them; those that were refused for good, by their place, with the reason.

        PipelineError when the service cannot be reached; the same call may be repeated then.
        """
        refused: dict[int, str] = {}
        waiting = list(range(len(cells)))
        end, pause = time.monotonic() + self._patience_s, _PAUSE_S
        while waiting:
            failed = {waiting[at]: it for at, it in self._attempt([cells[at] for at in waiting]).items()}
            refused |= {place: _words(it) for place, it in failed.items() if it.code not in _PASSING}
            waiting = [place for place, it in failed.items() if it.code in _PASSING]
            if waiting and time.monotonic() + pause > end:
                raise Unreachable(
                    f"Bigtable did not take {len(waiting)} rows of {self.name}: {failed[waiting[0]].message}"
                )
            if waiting:
                self._sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
        return refused

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def _attempt(self, cells: Sequence[Cells]) -> dict[int, Any]:
        """The statuses that are not fine, by place; halves a request that one row spoils as a whole."""
        from google.api_core import exceptions as api
        from google.cloud.bigtable_v2 import types
        from google.rpc.status_pb2 import Status

        request = types.MutateRowsRequest(table_name=self._path)
        entries = types.MutateRowsRequest.pb(request).entries
        for one in cells:
            entry = entries.add(row_key=one.key)
            micros = round(one.at.timestamp() * 1000) * 1000
            for column, value in one.values.items():
                entry.mutations.add().set_cell.MergeFrom(_cell(types, column, micros, value))
        with explained("Bigtable", f"writing to {self.name}"):
            try:
                answers = self._client.mutate_rows(request=request, **repeatable(self._patience_s))
                found = [entry for answer in answers for entry in type(answer).pb(answer).entries]
            except api.InvalidArgument as error:
                if len(cells) == 1:
                    return {0: Status(code=_INVALID, message=str(error.message)[:500])}
                half = len(cells) // 2
                second = {half + at: it for at, it in self._attempt(cells[half:]).items()}
                return self._attempt(cells[:half]) | second
        return {entry.index: entry.status for entry in found if entry.status.code}


def _cell(types: Any, column: str, micros: int, value: int) -> Any:
    cell = types.Mutation.SetCell(
        family_name=FAMILY,
        column_qualifier=column.encode("utf-8", "surrogatepass"),
        timestamp_micros=micros,
        value=value.to_bytes(8, "big", signed=True),
    )
    return types.Mutation.SetCell.pb(cell)


def _words(status: Any) -> str:
    return f"{status.message or 'refused'} (code {status.code})"


def _settings() -> GoogleSettings:
    return GoogleSettings(bigtable_emulator=os.environ.get("BIGTABLE_EMULATOR_HOST", ""))


def emulated() -> bool:
    """Whether BIGTABLE_EMULATOR_HOST leads away from Google."""
    return bool(os.environ.get("BIGTABLE_EMULATOR_HOST"))
