"""Events a second of the validator, beside bare msgspec decoding, pydantic and jsonschema."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jsonschema
import msgspec
import pydantic

from pipeline.events import Invalid, Valid, validate
from tests.bench.pipeline.made import events
from tests.bench.pipeline.others import bare, by_jsonschema, by_pydantic
from tests.bench.table import Figure, at_least, plain

EVENTS, ROUNDS, BROKEN = 30_000, 7, 0.02
SLOW = 10  # jsonschema gets a tenth of the events
BARE_AIM, PYDANTIC_AIM = 0.6, 1.5
_REFUSALS: Final = (msgspec.MsgspecError, pydantic.ValidationError, jsonschema.ValidationError, KeyError)

Check = Callable[[bytes], Any]


def figures() -> list[Figure]:
    """Rates of good events with their ratios; then with some that are refused."""
    good = _rates(events(EVENTS), {"validate": validate, "bare": bare, "pydantic": by_pydantic}, ROUNDS)
    slow = _rates(events(EVENTS // SLOW), {"validate": validate, "jsonschema": by_jsonschema}, 3)
    mixed = events(EVENTS, broken=BROKEN)
    _agree(mixed)
    some = _rates(mixed, {"validate": validate, "bare": _told(bare), "pydantic": _told(by_pydantic)}, 3)
    return [
        plain("validation of good events", f"{_events(good['validate'])}"),
        at_least("  / msgspec, types only", _ratio(good, "bare"), BARE_AIM),
        at_least("  / pydantic v2, all rules", _ratio(good, "pydantic"), PYDANTIC_AIM),
        plain("  / jsonschema, rules of one field", f"{_ratio(slow, 'jsonschema'):.0f}"),
        plain(f"validation, {BROKEN:.0%} refused and every violation named", _events(some["validate"])),
        plain("  / msgspec, types only, first violation", f"{_ratio(some, 'bare'):.2f}"),
        plain("  / pydantic v2", f"{_ratio(some, 'pydantic'):.2f}"),
    ]


def _rates(data: Sequence[bytes], checks: Mapping[str, Check], rounds: int) -> dict[str, list[float]]:
    """Events per second of processor time, all checks in turn in every round."""
    found: dict[str, list[float]] = {name: [] for name in checks}
    for _ in range(rounds):
        for name, check in checks.items():
            begun = time.process_time()
            for one in data:
                check(one)
            found[name].append(len(data) / (time.process_time() - begun))
    return found


def _ratio(rates: Mapping[str, Sequence[float]], other: str) -> float:
    """The median of each round's own ratio."""
    pairs = zip(rates["validate"], rates[other], strict=True)
    return statistics.median(mine / its for mine, its in pairs)


def _events(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates) / 1000:,.0f} k/s"


def _told(check: Check) -> Check:
    """A refusal is an answer too."""

    def asked(data: bytes) -> Any:
        try:
            return check(data)
        except _REFUSALS as refusal:
            return str(refusal)

    return asked


def _agree(data: Sequence[bytes]) -> None:
    """Who accepts other events measures other work."""
    for one in data[: EVENTS // SLOW]:
        ours = isinstance(validate(one), Valid)
        if not all(ours is not isinstance(_told(check)(one), str) for check in (by_pydantic, by_jsonschema)):
            raise SystemExit(f"the validators do not agree about {one!r}")
    if not any(isinstance(validate(one), Invalid) for one in data):
        raise SystemExit("nothing was refused")
