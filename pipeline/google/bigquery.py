"""BigQuery: rows in by insertAll under ids of our own, and what became of each.

A repeated insert of a row under its id is the same row (Google remembers ids for about a minute), so
inserts may be retried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.errors import Unreachable
from pipeline.google.errors import explained

_REQUEST_S: Final = 30.0
# Google's words for "not this time", among the errors of single rows.
_PASSING: Final = frozenset({"stopped", "timeout", "backendError", "internalError", "rateLimitExceeded"})
_REPEATS: Final = 3
_BAD_REQUEST: Final = (400, 413)  # wrong, or more than Google takes in one request


class Inserter:
    """Writes to the tables of one dataset (PROJECT.DATASET).

    Without a ``client`` it makes its own, which BIGQUERY_EMULATOR_HOST leads elsewhere.
    """

    def __init__(self, dataset: str, patience_s: float, client: Any = None) -> None:
        self.dataset = dataset
        self.patience_s = patience_s
        self._client = client if client is not None else _own_client(dataset.partition(".")[0])

    def insert(self, table: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[int, str]:
        """Inserts (id, values); the rows that were refused for good, by their place, with the reason.

        PipelineError when the service cannot be reached, or the table as a whole refuses: then
        nothing is known of any row, and the same call may be repeated.
        """
        refused: dict[int, str] = {}
        waiting = list(range(len(rows)))
        for _ in range(_REPEATS):
            failed = self._request(table, rows, waiting)
            refused |= {place: text for place, (text, passing) in failed.items() if not passing}
            waiting = [place for place, (_, passing) in failed.items() if passing]
            if not waiting:
                return refused
        raise Unreachable(f"BigQuery took {len(waiting)} of {len(rows)} rows of {table} not even repeatedly.")

    def close(self) -> None:
        self._client.close()

    def _request(
        self, table: str, rows: Sequence[tuple[str, Mapping[str, Any]]], places: Sequence[int]
    ) -> dict[int, tuple[str, bool]]:
        """One insertAll of some rows; halves it when the request as a whole is bad or too large."""
        from google.api_core import exceptions as api
        from google.cloud.bigquery.retry import DEFAULT_RETRY

        with explained("BigQuery", f"inserting into {table}"):
            try:
                errors = self._client.insert_rows_json(
                    f"{self.dataset}.{table}",
                    [dict(rows[place][1]) for place in places],
                    row_ids=[rows[place][0] for place in places],
                    skip_invalid_rows=True,
                    retry=DEFAULT_RETRY.with_timeout(self.patience_s),
                    timeout=_REQUEST_S,
                )
            except api.GoogleAPICallError as error:
                if error.code not in _BAD_REQUEST:
                    raise
                if len(places) == 1:
                    return {places[0]: (str(error.message)[:500], False)}
                half = len(places) // 2
                return self._request(table, rows, places[:half]) | self._request(table, rows, places[half:])
        return {places[int(error["index"])]: _reason(error) for error in errors}


def _reason(error: Mapping[str, Any]) -> tuple[str, bool]:
    """What is wrong with one row, and whether that will pass."""
    details = error.get("errors") or [{}]
    texts = [f"{one.get('location') or 'row'}: {one.get('message') or one.get('reason')}" for one in details]
    passing = all(str(one.get("reason")) in _PASSING for one in details)
    return "; ".join(texts)[:500], passing


def emulated() -> bool:
    """Whether BIGQUERY_EMULATOR_HOST leads away from Google."""
    from google.cloud.bigquery._helpers import _get_bigquery_host

    return str(_get_bigquery_host()).startswith("http://")


def _own_client(project: str) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    return bigquery.Client(project=project, credentials=AnonymousCredentials() if emulated() else None)
