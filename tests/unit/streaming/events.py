"""Events for tests: JSON as bytes, and messages of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage

from pipeline.streaming.graph import Parts, Sinks, assemble
from pipeline.streaming.settings import read
from pipeline.streaming.steps import Frame
from pipeline.streaming.writers import Files

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TYPES = ("click", "transaction", "stock")


def fixed_clock() -> datetime:
    return NOON


def at(seconds: float) -> str:
    return (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def click(number: int = 0, seconds: float = 0.0, **changed: Any) -> bytes:
    event = {
        "event_type": "click",
        "product_id": "p1",
        "user_id": f"u{number}",
        "timestamp": at(seconds),
        "session_id": "s1",
        "page_type": "product",
    }
    return json.dumps(event | changed).encode()


def transaction(number: int = 0, seconds: float = 0.0, **changed: Any) -> bytes:
    event = {
        "event_type": "transaction",
        "transaction_id": f"t{number}",
        "product_id": "p1",
        "user_id": "u1",
        "store_id": "shop",
        "timestamp": at(seconds),
        "quantity": 2,
        "unit_price": 9.99,
        "total_amount": 19.98,
        "currency": "EUR",
        "payment_method": "paypal",
    }
    return json.dumps(event | changed).encode()


def stock(number: int = 0, seconds: float = 0.0, **changed: Any) -> bytes:
    event = {
        "event_type": "stock",
        "product_id": "p1",
        "warehouse_id": f"w{number}",
        "timestamp": at(seconds),
        "quantity_change": -3,
        "reason": "sale",
    }
    return json.dumps(event | changed).encode()


MAKERS = {"click": click, "transaction": transaction, "stock": stock}


def message(data: bytes, **attributes: str) -> PubsubMessage:
    return PubsubMessage(data, attributes)


class LettersToFile(beam.PTransform):  # type: ignore[misc]
    """Dead letters, each a file of its own, as they would be published."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def expand(self, letters: Any) -> Any:
        return letters | beam.Map(self._write)

    def _write(self, letter: Any) -> None:
        from pathlib import Path
        from uuid import uuid4

        folder = Path(self.folder) / "letters"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / uuid4().hex).write_bytes(letter.data)


@dataclass
class Out:
    """What a run left behind."""

    folder: Any
    counts: dict[str, int] = field(default_factory=dict)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in sorted(self.folder.glob(f"{table}/*.jsonl"))
            for line in path.read_text().splitlines()
        ]

    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in self.folder.glob("letters/*")]

    def raw_letters(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.glob("letters/*")]


def counters(result: Any) -> dict[str, int]:
    """By name, over all steps that count under it."""
    found: Counter[str] = Counter()
    for one in result.metrics().query()["counters"]:
        found[one.key.metric.name] += one.committed
    return dict(found)


def build(
    sources: dict[str, Any], folder: Any, *, sinks: Sinks | None = None, board: str = "", **settings: Any
) -> Parts:
    sinks = sinks or Sinks(rows=Files(str(folder)), letters=LettersToFile(str(folder)), local=True)
    frame = Frame(code_version="test-1", clock=fixed_clock, board=board)
    return assemble(sources, read(settings, need_sources=False), sinks, frame)


def run_batch(
    messages: Sequence[PubsubMessage], folder: Any, *, sinks: Sinks | None = None, **settings: Any
) -> Out:
    """The whole pipeline over a list, in memory, once."""
    with_source = beam.Pipeline("FnApiRunner")
    build({"": with_source | beam.Create(list(messages))}, folder, sinks=sinks, **settings)
    result = with_source.run()
    result.wait_until_finish()
    return Out(folder, counters(result))
