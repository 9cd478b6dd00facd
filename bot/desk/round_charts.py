"""The charts of a digest: what is ahead, what came, what it cost. Each is a picture, and bars of text beside it.

The words of every bar stand in both, and in the alternative text, so that nobody needs to see either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.core.rounds import Reading
from bot.core.text import clean, cut
from bot.desk.ports import Tx
from pipeline.chart import Chart, Row

TRENDS, FORECAST = "pipeline.trends", "cost.forecast"
_TOLD = frozenset({"history", "load", "errors", "lag", "backlog", "cost", "ahead"})


def charts(tx: Tx, readings: Sequence[Reading]) -> list[Chart]:
    """The charts of whatever was measured that can be drawn."""
    found: list[Chart] = []
    for reading, report in _reports(tx, readings):
        data = report.get("data") or {}
        if reading.operation == TRENDS:
            found += _trends(reading.pipeline, data)
        elif reading.operation == FORECAST and (rows := _forecast(data)):
            title, note = f"Forecast of costs for {reading.pipeline}", "so far, and at the month's end"
            found.append(Chart(name=f"forecast-{reading.pipeline}", title=title, note=note, rows=tuple(rows)))
    return found


def told(tx: Tx, readings: Sequence[Reading]) -> list[str]:
    """What the trends say, a line for each figure."""
    lines = []
    for reading, report in _reports(tx, readings):
        said = [f for f in report.get("findings") or () if f.get("id") in _TOLD]
        if reading.operation == TRENDS and said:
            lines += [
                f"Trends of {reading.pipeline}:",
                *(f"- {cut(clean(str(f['text'])), 300)}" for f in said),
            ]
    return lines


def _reports(tx: Tx, readings: Sequence[Reading]) -> Iterator[tuple[Reading, Mapping[str, Any]]]:
    for reading in readings:
        if (
            reading.operation in (TRENDS, FORECAST)
            and (run := tx.run(reading.run)) is not None
            and run.report
        ):
            yield reading, run.report


def _trends(pipeline: str, data: Mapping[str, Any]) -> list[Chart]:
    """Events and costs a day, the newest first; none of fewer than two that are known."""
    by, spans = str(data.get("by") or ""), list(data.get("stretches") or ())
    events = [
        (str(one["name"]), float(one["events_a_day"]), f"{one['events_a_day']:,.0f} events")
        for one in spans
        if one.get("events_a_day") is not None
    ]
    found = [(f"events-{pipeline}", f"Events a day of {pipeline}", events)]
    money = data.get("currencies") or {}
    for place, what in enumerate(
        dict.fromkeys(name for one in spans for name in one.get("cost_a_day") or ()), 1
    ):
        costs = [
            (
                str(one["billed"]),
                float(one["cost_a_day"][what]),
                f"{one['cost_a_day'][what]:,.2f} {money.get(what, '')}",
            )
            for one in spans
            if what in (one.get("cost_a_day") or ())
        ]
        found.append((f"cost-{pipeline}-{place}", f"Cost a day of {what}", costs))
    note = f"by {by}, the newest first"
    return [
        Chart(name=name, title=title, note=note, rows=tuple(rows))
        for name, title, rows in found
        if len(rows) > 1
    ]


def _forecast(data: Mapping[str, Any]) -> list[Row]:
    found = [*(data.get("budgets") or ()), *(data.get("export") or ())]
    return [
        (f"{one['budget']}, {label}", float(one[key]), f"{one[key]:,.2f} {one['currency']}")
        for one in found
        for key, label in (("so_far", "so far"), ("forecast", "forecast"), ("amount", "budget"))
        if one.get(key)
    ]
