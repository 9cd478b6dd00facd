"""Stages for tests: the real sandbox and the real bot, ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Stage, staged

Staging = Callable[..., Stage]


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    """Makes a stage whose bot is ready; options as for ``Stage``."""
    with ExitStack() as stack:

        def make(**options: Any) -> Stage:
            folder = tmp_path / f"stage{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return stack.enter_context(staged(folder, **options))

        yield make
