"""Beam's batch runner as the workers are set: without its cache of state."""

from __future__ import annotations

import pytest
from apache_beam.runners.portability.fn_api_runner import worker_handlers


@pytest.fixture(autouse=True)
def no_state_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What options.without_state_cache asks of workers, which the in-memory runner knows as a constant only."""
    monkeypatch.setattr(worker_handlers, "STATE_CACHE_SIZE_MB", 0)
