"""Reads `escalation.yaml`. What the file leaves out keeps the shipped default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal

from bot.core.policy import FACTS, SHIPPED_RULES, Level, Policy, Rule, Thresholds, format_duration
from bot.documents import reader
from bot.documents.mistakes import Notes, shown
from bot.documents.tree import Tree
from pipeline.thresholds import KEYS, SHIPPED, Unit
from pipeline.thresholds import Thresholds as Limits


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a key of the file goes, and how its value is written."""

    attribute: str
    how: Literal["duration", "duration or zero", "ratio", "count"] = "duration"


_TIMERS: dict[str, _Field] = {
    "l1.backup": _Field("backup"),
    "l1.emergency": _Field("emergency"),
    "l1.l2_if_critical": _Field("l2_if_critical"),
    "repeat": _Field("repeat"),
    "reopen": _Field("reopen"),
    "unanswered": _Field("unanswered"),
    "ack.idle": _Field("ack_idle"),
    "ack.grace": _Field("ack_grace"),
    "recover": _Field("recover"),
    "merge": _Field("merge", "duration or zero"),
    "deletion_margin": _Field("deletion_margin", "duration or zero"),
    "group": _Field("group", "duration or zero"),
    "lookups": _Field("lookups", "count"),
    "patience": _Field("patience"),
    "link": _Field("link"),
    "snooze.max": _Field("snooze_max"),
    "snooze.max_cost": _Field("snooze_max_cost"),
    "storm.alerts": _Field("storm_alerts", "count"),
    "storm.incidents": _Field("storm_incidents", "count"),
    "flapping.score": _Field("flap_score", "count"),
    "flapping.half_life": _Field("flap_half_life"),
    "flapping.quiet": _Field("flap_quiet"),
    "maintenance.max": _Field("maintenance_max"),
    "maintenance.overrun": _Field("operation_overrun"),
}

_THRESHOLDS: dict[str, _Field] = {
    "facts.error_rate.warning": _Field("error_rate_warning", "ratio"),
    "facts.error_rate.critical": _Field("error_rate_critical", "ratio"),
    "facts.error_rate.escalate": _Field("error_rate_escalate", "ratio"),
    "facts.error_rate.received": _Field("error_rate_received", "count"),
    "facts.error_rate.window": _Field("error_rate_window"),
    "facts.error_rate.ends": _Field("error_rate_ends"),
    "facts.down.stalled": _Field("stalled"),
    "facts.down.running": _Field("running"),
    "facts.data_loss.imbalance": _Field("imbalance"),
    "facts.cost.spike": _Field("cost_spike", "ratio"),
    "facts.cost.days": _Field("cost_days", "count"),
    "facts.cost.days_needed": _Field("cost_days_needed", "count"),
    "facts.cost.every": _Field("cost_every"),
    "facts.budget.overrun": _Field("budget_overrun", "ratio"),
    "facts.budget.reopen": _Field("budget_reopen", "ratio"),
    "facts.sample_age": _Field("sample_age"),
    "facts.probe": _Field("probe"),
}

# What judges a measurement is the pipeline's business: its keys, its numbers; here they are read by line.
_HOW: dict[Unit, Literal["duration", "ratio", "count"]] = {
    "duration": "duration",
    "ratio": "ratio",
    "count": "count",
}
_LIMITS = {path: _Field(key.attribute, _HOW[key.unit]) for path, key in KEYS.items()}

_FIELDS = {**_LIMITS, **_TIMERS, **_THRESHOLDS}
_LADDER = (Level.L2, Level.L3, Level.L4)


def read_policy(tree: Tree, notes: Notes) -> Policy:
    """The policy that the file describes; every mistake is noted, and the default stands in its place."""
    top = reader.entries(tree, notes, "the policy", ["ladder", *_children(""), "rules"])
    timers: dict[str, Any] = {}
    thresholds: dict[str, Any] = {}
    for path, value in _values(top, "", notes):
        field = _FIELDS[path]
        read = _value(value, field, notes, path)
        if read is not None and path in _TIMERS | _THRESHOLDS:
            (timers if path in _TIMERS else thresholds)[field.attribute] = read
    shipped = Policy()
    return replace(
        shipped,
        **timers,
        ladder=_ladder(top["ladder"], shipped, notes) if "ladder" in top else shipped.ladder,
        thresholds=replace(Thresholds(), **thresholds),
        rules=_rules(top["rules"], notes) if "rules" in top else SHIPPED_RULES,
    )


def thresholds(policy: Policy) -> dict[str, object]:
    """Every number of a policy by the name that its file gives it (`facts.error_rate.critical`, `ladder.L2`)."""
    found: dict[str, object] = {f"ladder.{level}": after for level, after in policy.ladder.items()}
    found |= {path: getattr(policy, field.attribute) for path, field in _TIMERS.items()}
    return found | {path: getattr(policy.thresholds, field.attribute) for path, field in _THRESHOLDS.items()}


def threshold(path: str, tree: Tree, notes: Notes) -> object:
    """A value written for a name that `thresholds` gives, or None after noting what is wrong with it."""
    return _value(tree, _FIELDS.get(path, _Field("", "duration")), notes, path)


def read_limits(tree: Tree, notes: Notes) -> Limits:
    """The thresholds by which measurements are judged; every mistake is noted, as `read_policy` does."""
    found: dict[str, float] = {}
    for path, value in _values(reader.entries(tree, notes, "the policy", None), "", notes):
        field = _LIMITS.get(path)
        read = _value(value, field, notes, path) if field is not None else None
        if field is not None and read is not None:
            found[field.attribute] = read.total_seconds() if isinstance(read, timedelta) else float(str(read))
    return replace(SHIPPED, **found)


def _children(prefix: str) -> list[str]:
    """The keys that may stand under a prefix ("" is the top), each once, in the table's order."""
    below = [path.removeprefix(prefix) for path in _FIELDS if path.startswith(prefix)]
    return list(dict.fromkeys(rest.partition(".")[0] for rest in below))


def _values(found: dict[str, Tree], prefix: str, notes: Notes) -> Iterator[tuple[str, Tree]]:
    for key in _children(prefix):
        if key not in found or reader.absent(found[key]):
            continue
        path = prefix + key
        if path in _FIELDS:
            yield path, found[key]
        else:
            inner = reader.entries(found[key], notes, path, _children(path + "."))
            yield from _values(inner, path + ".", notes)


def _value(tree: Tree, field: _Field, notes: Notes, what: str) -> object:
    if field.how == "ratio":
        return reader.ratio(tree, notes, what)
    if field.how == "count":
        return reader.count(tree, notes, what)
    return reader.duration(tree, notes, what, zero=field.how == "duration or zero")


def _ladder(tree: Tree, shipped: Policy, notes: Notes) -> dict[Level, Any]:
    ladder = dict(shipped.ladder)
    found = reader.entries(tree, notes, "ladder", [str(level) for level in _LADDER])
    for level in _LADDER:
        if str(level) in found:
            ladder[level] = reader.duration(found[level], notes, f"ladder, {level}") or ladder[level]
    for lower, upper in pairwise(_LADDER):
        if ladder[upper] < ladder[lower] and found:
            place = found.get(upper) or found.get(lower) or tree
            notes.add(
                place.line,
                f"ladder: {upper} ({format_duration(ladder[upper])}) comes before"
                f" {lower} ({format_duration(ladder[lower])})",
                "Give each level at least the time of the one below it.",
            )
    return ladder


def _rules(tree: Tree, notes: Notes) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for place, item in enumerate(reader.items(tree, notes, "rules"), start=1):
        rule = _rule(item, notes, place)
        if rule is None:
            continue
        if rule.id in rules:
            notes.add(
                item.line, f"the rule {shown(rule.id)} is there twice", "Give each rule an id of its own."
            )
        rules.setdefault(rule.id, rule)
    return tuple(rules.values())


def _rule(tree: Tree, notes: Notes, place: int) -> Rule | None:
    known = ["id", "fact", "for", "within", "to"]
    found = reader.entries(tree, notes, f"rule {place}", known)
    name = reader.text(found["id"], notes, "id of a rule") if "id" in found else None
    what = f"rule {shown(name)}" if name else f"rule {place}"
    for key in ("id", "fact"):
        if key not in found:
            notes.add(tree.line, f"{what} has no {key}", f"Add `{key}: ...`.")
    fact = reader.choice(found["fact"], notes, f"{what}, fact", FACTS) if "fact" in found else None
    zero = timedelta(0)
    held = reader.duration(found["for"], notes, f"{what}, for", zero=True) if "for" in found else zero
    within = (
        reader.duration(found["within"], notes, f"{what}, within", zero=True) if "within" in found else zero
    )
    to = reader.choice(found["to"], notes, f"{what}, to", [*Level]) if "to" in found else Level.L2
    if name is None or fact is None or held is None or within is None or to is None:
        return None
    return Rule(id=name, fact=fact, for_=held, within=within, to=Level(to))
