"""How calls are made: timeouts and retries, on purpose for each kind of call.

Readings may be repeated: they retry while the service is unavailable, within a deadline.  What
starts something is never repeated blindly: its answer may be lost although it happened.

A reading gives up with the operation that it belongs to (``pipeline.patience``), however long it might wait itself.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.patience import at_most

_ATTEMPT_S: Final = 8.0
# Whoever looks at 03:10 is better served by "not reachable" now than by an answer in a minute.
_READING_S: Final = 8.0


def reading(deadline_s: float) -> dict[str, Any]:
    """``retry`` and ``timeout`` arguments of a call that changes nothing."""
    return repeatable(_seconds(deadline_s))


def reading_bigquery(deadline_s: float) -> dict[str, Any]:
    """The same of a reading of BigQuery's own client, which by itself tries for ten minutes."""
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    seconds = _seconds(deadline_s)
    return {"retry": DEFAULT_RETRY.with_timeout(seconds), "timeout": seconds}


def reading_http(deadline_s: float) -> float:
    """The ``timeout`` of a reading over HTTP, in seconds."""
    return _seconds(deadline_s)


def once(deadline_s: float) -> dict[str, Any]:
    """Arguments of a call that starts something: one attempt, one answer."""
    return {"retry": None, "timeout": deadline_s}


def repeatable(deadline_s: float) -> dict[str, Any]:
    """Arguments of a change that does no harm twice: acknowledge, hold, publish with replay_of."""
    from google.api_core import exceptions as api
    from google.api_core.retry import Retry, if_exception_type

    retry = Retry(
        predicate=if_exception_type(api.ServiceUnavailable, api.InternalServerError, api.DeadlineExceeded),
        initial=0.1,
        maximum=2.0,
        multiplier=2.0,
        timeout=deadline_s,
    )
    return {"retry": retry, "timeout": min(_ATTEMPT_S, deadline_s)}


def _seconds(deadline_s: float) -> float:
    return at_most(min(deadline_s, _READING_S))
