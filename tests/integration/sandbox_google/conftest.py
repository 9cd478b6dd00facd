"""Fixtures: a fresh world with its clients for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

from tests.integration.sandbox_google.google import Google, running_google
from tests.integration.sandbox_google.rest import Http, Rest, running_rest


@pytest.fixture
def google(tmp_path: Path) -> Iterator[Google]:
    """A healthy world, served, under a hand-driven clock."""
    with running_google(tmp_path) as served:
        yield served


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    """A healthy world, served over HTTP, under a hand-driven clock."""
    with running_rest(tmp_path) as served:
        yield served


@pytest.fixture
def http(rest: Rest) -> Iterator[Http]:
    """google-auth's session, for the services whose own clients are not installed."""
    with AuthorizedSession(AnonymousCredentials()) as session:
        yield Http(session, rest.base_url)
