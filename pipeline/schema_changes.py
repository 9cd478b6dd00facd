"""What changed in the columns of the tables that a pipeline writes.  Pure.

BigQuery does not say when a column came or went, so each look is compared with what the history kept.
"""

from __future__ import annotations

from collections.abc import Mapping

Columns = Mapping[str, str]  # name -> type


def schema_changes(now: Mapping[str, Columns], before: Mapping[str, Columns]) -> list[str]:
    """Each table that is another than before, in words; a table that nobody had looked at says nothing."""
    return [
        f"table {table} {', '.join(told)}"
        for table in sorted(now)
        if table in before and (told := _told(now[table], before[table]))
    ]


def _told(now: Columns, before: Columns) -> list[str]:
    came, went = sorted(now.keys() - before.keys()), sorted(before.keys() - now.keys())
    other = [name for name in sorted(now.keys() & before.keys()) if now[name] != before[name]]
    return [
        *([f"gained {', '.join(came)}"] if came else []),
        *([f"lost {', '.join(went)}"] if went else []),
        *(f"has {name} as {now[name]} instead of {before[name]}" for name in other),
    ]
