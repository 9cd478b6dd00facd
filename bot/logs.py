"""Structured logs: one JSON object a line, without secrets, tokens or query strings."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from bot.core.text import redact


def _clean(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event


def set_up(level: str, *, people: bool = False) -> None:
    """Configure structlog and the standard library's loggers alike. ``people``: for a terminal."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _clean,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False) if people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[remove, _clean, renderer], foreign_pre_chain=shared)
    )
    # Bolt finds the token in the environment too and says that it will not use that one.
    logging.getLogger("slack_bolt.app").addFilter(lambda record: "will be unused" not in record.getMessage())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("apscheduler", "slack_sdk", "slack_bolt", "aiohttp.access", "httpx", "google"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
