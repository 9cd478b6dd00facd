"""Counters of events by type, such that in = valid + dead_lettered + duplicates, to the event.

``{click,transaction,stock}_{received,valid,invalid,dead_lettered,duplicates}``: received when a
message is read; then exactly one of valid (accepted for the sinks), dead_lettered (refused before
them; ``invalid`` are those of these that broke a rule) and duplicates.  What a sink refuses later
was valid and is counted apart (``sink_failed``), so that nothing counts twice.  ``late`` and
``missed_window`` are parts of valid, as is ``load_test``.  ``settled`` are valid ones whose row is in the raw
table, or a dead letter for it.  Each invalid one is counted under its root cause too
(``{click,...}_{schema_change,new_required_field,invalid_format,rule_violation}``), so that whoever watches
knows the cause without reading a dead letter.

Beam's streaming DirectRunner does not show counters while it runs, so a local run also writes them
on a board of its own process, from which its heartbeat reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Final

from apache_beam.metrics import Metrics

NAMESPACE: Final = "streamwatch"
KINDS: Final = ("click", "transaction", "stock", "unknown")


class Board:
    """Counters of one local run; threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        with self._lock:
            self._counts.update(counts)

    def read(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)


# Steps are copied by pickling even within one process; a name is what survives it.
_BOARDS: Final[dict[str, Board]] = {}


def open_board(name: str) -> Board:
    """The board of that name, made when first asked for; steps that were given the name write on it."""
    return _BOARDS.setdefault(name, Board())


def close_board(name: str) -> None:
    _BOARDS.pop(name, None)


class Tally:
    """Counts of one bundle, told when it ends: a bundle that fails and is repeated counts once."""

    def __init__(self, board: str = "") -> None:
        self._board = board
        self._counts: Counter[str] = Counter()

    def begin(self) -> None:
        self._counts.clear()

    def add(self, event_type: str, measure: str) -> None:
        self._counts[f"{event_type}_{measure}"] += 1

    def end(self) -> None:
        for name, value in self._counts.items():
            Metrics.counter(NAMESPACE, name).inc(value)
        if self._board:
            open_board(self._board).add(self._counts)
        self._counts.clear()


def in_flight(counts: Mapping[str, int]) -> int:
    """Events that are read and not yet anywhere for good: unaccounted for, or valid and not yet written."""
    valid = sum(counts.get(f"{kind}_valid", 0) for kind in KINDS)
    done = sum(counts.get(f"{kind}_{name}", 0) for kind in KINDS for name in ("settled", "load_test"))
    return sum(unbalanced(counts).values()) + valid - done


def unbalanced(counts: Mapping[str, int]) -> dict[str, int]:
    """Event types whose books do not balance, with the number of events that are unaccounted for."""
    out = {}
    for kind in KINDS:
        accounted = sum(counts.get(f"{kind}_{name}", 0) for name in ("valid", "dead_lettered", "duplicates"))
        missing = counts.get(f"{kind}_received", 0) - accounted
        if missing:
            out[kind] = missing
    return out
