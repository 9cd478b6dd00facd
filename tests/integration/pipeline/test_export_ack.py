"""Exports hold every byte and are read back; nothing is deleted that is not in one."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from pipeline import exports
from pipeline.errors import Refused
from pipeline.google import pubsub
from pipeline.operations.base import Plan, Risk
from tests.unit.pipeline.test_events import CLICK

from .conftest import Stand
from .test_dead_letters import clicks, envelope, queue


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "exports"
    monkeypatch.setenv("DLQ_EXPORT_DIR", str(where))
    return where


def broken(count: int, rule: str = "choice") -> list[tuple[bytes, dict[str, str]]]:
    found = [{"field": "page_type", "rule": rule, "value": "x"}]
    return [
        (data, dict(attributes))
        for data, attributes in (
            envelope(CLICK | {"product_id": f"b-{i}", "page_type": "x"}, violations=found)
            for i in range(count)
        )
    ]


def test_an_export_holds_every_byte_and_leaves_the_queue_alone(stand: Stand, place: Path) -> None:
    secret = CLICK | {"user_id": "u-secret"}
    stand.dead_letters(*clicks(3), envelope(secret))
    raw = b"\xff\xfe\x00 not text"
    pubsub.publish(stand.ctx.clients, "demo-project", "dead-letter", [(raw, {"kept": "yes"})])
    before = queue(stand)
    report = stand.read("dlq.export", limit=100)
    assert report.data["exported"] == 5
    (path,) = place.glob("*.jsonl")
    assert str(path) in report.verdict
    assert "u-secret" not in report.dumps(), "an export is never shown"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = {id_: (data, attributes) for id_, data, attributes in exports.read(path)}
    assert found == {m.id: (m.data, dict(m.attributes)) for m in before.values()}
    assert set(queue(stand)) == set(before)


def test_an_export_by_rule_takes_only_what_broke_it(stand: Stand, place: Path) -> None:
    stand.dead_letters(*clicks(2), *broken(3))
    assert stand.read("dlq.export", rule="page_type:choice").data["exported"] == 3
    assert stand.read("dlq.export", rule="nothing").data == {"file": None, "exported": 0, "seen": 5}


def test_ack_deletes_what_was_shown_and_nothing_else(stand: Stand, place: Path) -> None:
    stand.dead_letters(*broken(4), *clicks(2))
    plan = stand.plan("dlq.ack", limit=100, rule="page_type:choice")
    assert plan.refusal is None
    assert plan.risk is Risk.DESTRUCTIVE
    assert plan.data["going"] == 4
    assert len(queue(stand)) == 6, "a plan deletes nothing"
    stand.clock.go(30)
    stand.dead_letters(*broken(1), *broken(1, rule="later"))

    done = stand.run(Plan.from_json(plan.to_json()))
    assert done.data["deleted"] == 4
    assert len(queue(stand)) == 4, "two that pass, one that came later, one of another kind"
    (path,) = place.glob("*.jsonl")
    assert [json.loads(line)["message_id"] for line in path.read_text().splitlines()]
    assert len(exports.read(path)) == 4
    verified = stand.verify(plan)
    assert verified.severity == "ok"
    assert verified.data["deleted"] == 4
    again = stand.run(plan)
    assert again.data["deleted"] == 0


def test_ack_warns_of_what_a_replay_would_save(stand: Stand, place: Path) -> None:
    stand.dead_letters(*clicks(2))
    assert "replay these instead" in " ".join(stand.plan("dlq.ack").warnings)


def test_nothing_is_deleted_when_the_export_cannot_be_written(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.dead_letters(*broken(3))
    plan = stand.plan("dlq.ack")
    (tmp_path / "file").write_text("no directory", encoding="utf-8")
    monkeypatch.setenv("DLQ_EXPORT_DIR", str(tmp_path / "file"))
    with pytest.raises(Refused, match="nothing was taken out"):
        stand.run(plan)
    assert len(queue(stand)) == 3
    monkeypatch.setenv("DLQ_EXPORT_DIR", "gs://bucket/place")
    with pytest.raises(Refused, match="directory"):
        stand.run(plan)
    assert len(queue(stand)) == 3


def test_a_repeated_run_keeps_the_first_file_and_verify_sees_both(stand: Stand, place: Path) -> None:
    stand.dead_letters(*broken(2))
    plan = stand.plan("dlq.ack")
    # a run that was killed after its export and before the acknowledgement
    exports.write(place, f"orders-{plan.id}", list(queue(stand).values()))
    assert stand.verify(plan).severity == "warning"
    assert stand.run(plan).data["deleted"] == 2
    assert len(list(place.glob("*.jsonl"))) == 2
    assert stand.verify(plan).severity == "ok"


def test_an_empty_queue_is_nothing_to_delete(stand: Stand, place: Path) -> None:
    plan = stand.plan("dlq.ack")
    assert "nothing to delete" in (plan.refusal or "")
    with pytest.raises(Refused):
        stand.run(plan)
    assert not place.exists()
