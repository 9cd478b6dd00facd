"""What the commands of the terminal share: the settings that documents need, and the database as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot.clock import Clock
from bot.core.errors import ConfigError, StorageUnavailable
from bot.core.incident import number_of
from bot.settings import DEFAULT_DATABASE, Settings
from bot.store.database import Database


class NoDatabase(StorageUnavailable):
    """No bot has run with this DATABASE_URL yet: its file is not there."""


def placeholder(env: Mapping[str, str]) -> Settings:
    """Settings enough to read the documents by; nothing for Slack."""
    return Settings(
        slack_bot_token="",
        slack_signing_secret="",
        runbooks_dir=Path(env.get("RUNBOOKS_DIR") or "runbooks"),
        google_cloud_project=env.get("GOOGLE_CLOUD_PROJECT", ""),
        region=env.get("REGION", ""),
        smtp_host=env.get("SMTP_HOST", ""),
        hook_url=env.get("HOOK_URL", ""),
    )


def stored(env: Mapping[str, str]) -> Database:
    """The bot's database, for a look. Raises ConfigError and StorageError's kinds; NoDatabase rather than make a
    file: of an empty one everything that can be asked holds."""
    url = env.get("DATABASE_URL") or DEFAULT_DATABASE
    if url.startswith("sqlite") and not Path(url.partition("///")[2]).exists():
        raise NoDatabase("There is no database here (DATABASE_URL).")
    return Database(url, Clock.from_env(env), create=False)


def incident_number(text: str) -> int:
    """INC-7, inc-7 and 7 are 7. Raises ConfigError."""
    number = number_of(text)
    if number is None:
        raise ConfigError(f"{text!r} is no incident; write INC-7.")
    return number
