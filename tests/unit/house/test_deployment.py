"""The deployment files are true: what they name exists, and they hold no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bot.core.errors import ConfigError
from bot.settings import read

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {"SLACK_BOT_TOKEN": "xoxb-of-a-test", "SLACK_SIGNING_SECRET": "secret-of-a-test"}


@pytest.fixture
def app() -> dict[str, Any]:
    return dict(YAML(typ="safe").load((ROOT / "app.yaml").read_text(encoding="utf-8")))


def test_one_instance_is_always_on(app: dict[str, Any]) -> None:
    assert app["manual_scaling"] == {"instances": 1}
    assert "automatic_scaling" not in app


def test_the_database_is_migrated_before_anything_is_served(app: dict[str, Any]) -> None:
    assert re.search(r"python -m bot migrate && exec python -m bot serve", app["entrypoint"])
    procfile = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    assert procfile == ["release: python -m bot migrate", "web: python -m bot serve"]


def test_the_checks_are_paths_that_the_bot_serves(app: dict[str, Any]) -> None:
    served = (ROOT / "bot" / "web" / "health.py").read_text(encoding="utf-8")
    for check in ("readiness_check", "liveness_check"):
        assert f'"{app[check]["path"]}"' in served


def test_the_settings_are_accepted_and_name_no_secret(app: dict[str, Any]) -> None:
    values = {name: str(value) for name, value in app["env_variables"].items()}
    assert not [name for name in values if re.search("TOKEN|SECRET|PASSWORD", name)]
    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", values["DATABASE_URL"])
    settings, _ = read({**values, **SECRETS, "GAE_ENV": "flex", "PORT": "8080"})
    assert settings.database_url.startswith("postgresql://")
    assert settings.pubsub_push_audience == f"{settings.public_url}/webhooks/pubsub"


@pytest.mark.parametrize("platform", ["GAE_ENV", "GAE_APPLICATION", "K_SERVICE"])
def test_a_file_is_no_database_on_a_disk_that_does_not_last(platform: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL is a SQLite file"):
        read({**SECRETS, platform: "x"})
