"""What LOG_LEVEL means for the libraries."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from bot.logs import set_up


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The loggers are of the whole process."""
    names = ("", "slack_sdk", "aiohttp.access")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(
    ("level", "warns"), [("DEBUG", True), ("INFO", True), ("WARNING", True), ("ERROR", False)]
)
def test_a_library_says_no_more_than_is_asked_for(level: str, warns: bool) -> None:
    set_up(level)
    noisy = logging.getLogger("slack_sdk")
    assert noisy.isEnabledFor(logging.WARNING) is warns
    assert not noisy.isEnabledFor(logging.INFO)
    assert noisy.isEnabledFor(logging.ERROR)
