"""The quality of today beside other days, kept by the probes of health."""

from __future__ import annotations

from .conftest import Stand


def probe(stand: Stand, minutes: int) -> None:
    """A probe every ten minutes, as the watch makes them more often."""
    assert stand.ctx.history is not None
    for _ in range(minutes // 10):
        stand.clock.go(600)
        stand.ctx.history.record_probe(stand.read("pipeline.health"))


def test_quality_stands_beside_the_days_that_were_probed(stand: Stand) -> None:
    fresh = stand.read("pipeline.quality")
    assert "No history" in next(one.text for one in fresh.findings if one.id == "history")
    probe(stand, 60)
    stand.happen({"scenario": "rule_violation"})
    stand.clock.go(23 * 3600)
    probe(stand, 60)
    report = stand.read("pipeline.quality", days=2)
    compared, by_day = (table for table in report.tables if table.title.endswith("(UTC)"))
    rows = {row[0].partition(" until")[0]: row[1:] for row in compared.rows}
    # the pause between was spread over both days
    assert float(rows["yesterday"][1].removesuffix(" %")) < 1
    assert float(rows["today"][1].removesuffix(" %")) > 20
    assert rows["today"][2] == "100.0 %", "every event is in an account"
    assert rows["same day last week"][0] == "no history yet"
    assert len(by_day.rows) == 2
    assert by_day.rows[1][1] == "no history yet"
    text = next(one.text for one in report.findings if one.id == "history")
    assert text.startswith("Today ")
    assert "too few other days" in text
