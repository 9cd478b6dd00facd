"""A threshold has one value, wherever it is written: in the pipeline, in the bot's core, in the shipped file."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

from bot.core.policy import Thresholds as Core
from bot.documents.loading import load_limits
from bot.documents.policy_file import _THRESHOLDS
from pipeline.thresholds import KEYS, SHIPPED, Thresholds, load

FILE = Path(__file__).parents[3] / "runbooks" / "escalation.yaml"


def test_every_number_of_the_pipeline_can_be_set_by_one_key() -> None:
    assert sorted(key.attribute for key in KEYS.values()) == sorted(one.name for one in fields(Thresholds))


def test_the_shipped_file_says_every_number_and_the_same_that_holds_without_it() -> None:
    text = FILE.read_text(encoding="utf-8")
    for name in KEYS:
        assert f"{name.rpartition('.')[2]}: " in text, name
    assert load(FILE) == SHIPPED
    assert load_limits(FILE) == SHIPPED


def test_the_core_and_the_pipeline_agree_where_both_need_a_number() -> None:
    shared = [name for name in KEYS if name in _THRESHOLDS]
    assert len(shared) > 8
    for name in shared:
        core = getattr(Core(), _THRESHOLDS[name].attribute)
        value = core.total_seconds() if isinstance(core, timedelta) else core
        assert value == getattr(SHIPPED, KEYS[name].attribute), name
