"""Every setting, read from the environment once; all mistakes are reported at once.

Secrets never appear in a repr or a log. Each setting is explained in README.md, "Settings".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bot.core.errors import ConfigError
from bot.core.periods import USUAL, Calendar, parse_days
from bot.core.policy import parse_duration

DEFAULT_DATABASE = "sqlite:///var/streamwatch.db"
SLACK_API = "https://slack.com/api/"
GOOGLE_CERTS = "https://www.googleapis.com/oauth2/v1/certs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the process was told."""

    slack_bot_token: str = field(repr=False)
    slack_signing_secret: str = field(repr=False)
    slack_app_token: str = field(default="", repr=False)
    slack_api_url: str = SLACK_API
    announcement_channel: str = "incidents"
    operations_channel: str = ""
    calendar: Calendar = USUAL
    database_url: str = field(default=DEFAULT_DATABASE, repr=False)
    host: str = "0.0.0.0"
    port: int = 8080
    monitoring_webhook_user: str = ""
    monitoring_webhook_passwords: tuple[str, ...] = field(default=(), repr=False)
    monitoring_webhook_tokens: tuple[str, ...] = field(default=(), repr=False)
    pubsub_push_audience: str = ""
    pubsub_push_email: str = ""
    oidc_certs_url: str = GOOGLE_CERTS
    pull_subscriptions: tuple[str, ...] = ()
    google_cloud_project: str = ""
    region: str = ""
    runbooks_dir: Path = Path("runbooks")
    web_token: str = field(default="", repr=False)
    public_url: str = ""
    hook_url: str = field(default="", repr=False)
    smtp_host: str = ""
    smtp_port: int = 0
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_from: str = ""
    smtp_tls: str = ""
    ack_secret: str = field(default="", repr=False)
    heartbeat_url: str = field(default="", repr=False)
    heartbeat_every: timedelta = timedelta(seconds=60)
    log_level: str = "INFO"


def read(env: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings and the warnings about them. Raises ConfigError with every mistake."""
    mistakes: list[str] = []

    def text(name: str, default: str = "") -> str:
        return env.get(name, "").strip() or default

    token, secret, socket = text("SLACK_BOT_TOKEN"), text("SLACK_SIGNING_SECRET"), text("SLACK_APP_TOKEN")
    if not token:
        mistakes.append("SLACK_BOT_TOKEN is missing: the bot token (xoxb-...) of the installed Slack app.")
    elif not token.startswith("xoxb-"):
        mistakes.append("SLACK_BOT_TOKEN must start with xoxb-; a bot token is needed, no user token.")
    if not secret and not socket:
        mistakes.append("SLACK_SIGNING_SECRET is missing (or SLACK_APP_TOKEN for Socket Mode).")
    if socket and not socket.startswith("xapp-"):
        mistakes.append("SLACK_APP_TOKEN must start with xapp-.")
    api = text("SLACK_API_URL", SLACK_API)
    if not re.fullmatch(r"https?://[^\s]+/api/", api):
        mistakes.append(f"SLACK_API_URL must end in /api/, not {api!r}.")
    database = text("DATABASE_URL", DEFAULT_DATABASE)
    managed = next(
        (name for name in ("GAE_ENV", "GAE_APPLICATION", "GAE_INSTANCE", "K_SERVICE") if env.get(name)), ""
    )
    if database.startswith("sqlite") and managed:
        mistakes.append(
            f"DATABASE_URL is a SQLite file, and {managed} says this is App Engine or Cloud Run, whose disk does not "
            "last: use PostgreSQL (postgresql://user@host/name)."
        )
    elif not database.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:")):
        mistakes.append("DATABASE_URL must start with sqlite:/// or postgresql://.")
    mail = _mail(text, mistakes)
    settings = Settings(
        **mail,
        slack_bot_token=token,
        slack_signing_secret=secret,
        slack_app_token=socket,
        slack_api_url=api,
        announcement_channel=text("ANNOUNCEMENT_CHANNEL", "incidents").lstrip("#"),
        operations_channel=text("OPERATIONS_CHANNEL").lstrip("#"),
        calendar=_calendar(text, mistakes),
        database_url=re.sub(r"^postgres:", "postgresql:", database),
        host=text("HOST", "0.0.0.0"),
        port=_port(text("PORT", "8080"), mistakes),
        monitoring_webhook_user=text("MONITORING_WEBHOOK_USER"),
        monitoring_webhook_passwords=_several(text("MONITORING_WEBHOOK_PASSWORD")),
        monitoring_webhook_tokens=_several(text("MONITORING_WEBHOOK_TOKEN")),
        pubsub_push_audience=text("PUBSUB_PUSH_AUDIENCE"),
        pubsub_push_email=text("PUBSUB_PUSH_EMAIL"),
        oidc_certs_url=text("OIDC_CERTS_URL", GOOGLE_CERTS),
        pull_subscriptions=_several(text("PULL_SUBSCRIPTIONS")),
        google_cloud_project=text("GOOGLE_CLOUD_PROJECT"),
        region=text("REGION"),
        runbooks_dir=Path(text("RUNBOOKS_DIR", "runbooks")),
        web_token=text("WEB_TOKEN"),
        public_url=text("PUBLIC_URL").rstrip("/"),
        hook_url=text("HOOK_URL"),
        ack_secret=text("ACK_SECRET"),
        heartbeat_url=text("HEARTBEAT_URL"),
        heartbeat_every=_every(text("HEARTBEAT_EVERY", "60s"), mistakes),
        log_level=text("LOG_LEVEL", "INFO").upper(),
    )
    mistakes += _addresses(env)
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        mistakes.append("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR.")
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return settings, _warnings(settings)


def _port(text: str, mistakes: list[str], name: str = "PORT") -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) and int(text) <= 65535:
        return int(text)
    mistakes.append(f"{name} must be a number from 0 to 65535, not {text!r}.")
    return 0


def _mail(text: Callable[..., str], mistakes: list[str]) -> dict[str, Any]:
    """The mail server. Port 465 speaks TLS from its first byte; a server on this machine may do without TLS."""
    host, user, tls = text("SMTP_HOST"), text("SMTP_USER"), text("SMTP_TLS").lower()
    near = host in ("localhost", "127.0.0.1", "::1")
    given = text("SMTP_PORT")
    tls = tls or ("tls" if given == "465" else "none" if near else "starttls")
    if tls not in ("starttls", "tls", "none"):
        mistakes.append(f"SMTP_TLS must be starttls, tls or none, not {tls!r}.")
    if tls == "none" and text("SMTP_PASSWORD") and not near:
        mistakes.append("SMTP_TLS is none: the password would travel readably. Use starttls or tls.")
    sender = text("SMTP_FROM") or (user if "@" in user else "streamwatch@localhost" if near else "")
    if host and not sender:
        mistakes.append("SMTP_FROM is missing: the address that pages by e-mail come from.")
    elif sender and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", sender):
        mistakes.append(f"SMTP_FROM must be an address such as pages@example.com, not {sender!r}.")
    return {
        "smtp_host": host,
        "smtp_port": _port(given or ("465" if tls == "tls" else "587"), mistakes, "SMTP_PORT"),
        "smtp_user": user,
        "smtp_password": text("SMTP_PASSWORD"),
        "smtp_from": sender,
        "smtp_tls": tls,
    }


def _every(text: str, mistakes: list[str]) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        mistakes.append(f"HEARTBEAT_EVERY: {error}.")
        return timedelta(seconds=60)


def _calendar(text: Callable[..., str], mistakes: list[str]) -> Calendar:
    """The operations calendar's zone, working days and hour."""
    zone, days, hour = (
        text("CALENDAR_TZ", "UTC"),
        text("CALENDAR_DAYS", "mon-fri"),
        text("CALENDAR_HOUR", "09:00"),
    )
    made = USUAL
    try:
        ZoneInfo(zone)
        made = replace(made, tz=zone)
    except (KeyError, ValueError, OSError):
        mistakes.append(f"CALENDAR_TZ must be a time zone such as Europe/Berlin, not {zone!r}.")
    try:
        made = replace(made, days=parse_days(days))
    except ValueError as error:
        mistakes.append(f"CALENDAR_DAYS {error}.")
    if re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", hour):
        made = replace(made, at=time.fromisoformat(hour.zfill(5)))
    else:
        mistakes.append(f"CALENDAR_HOUR must be an hour such as 09:00, not {hour!r}.")
    return made


_HOSTS = ("GOOGLE_API_ENDPOINT", "PUBSUB_EMULATOR_HOST", "BIGTABLE_EMULATOR_HOST")
_URLS = ("OIDC_CERTS_URL", "PUBLIC_URL", "HOOK_URL", "HEARTBEAT_URL", "GOOGLE_REST_ENDPOINT")


def _addresses(env: Mapping[str, str]) -> list[str]:
    """What is wrong with the addresses of others, also those that the rooms read for themselves."""
    hosts = [
        f"{name} must be host:port, such as 127.0.0.1:8401, not {env[name]!r}."
        for name in _HOSTS
        if env.get(name) and not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[^\s:/\[\]]+):\d{1,5}", env[name].strip())
    ]
    urls = [
        f"{name} must begin with http:// or https:// and name a host, not {env[name]!r}."
        for name in _URLS
        if env.get(name) and not re.fullmatch(r"https?://[^\s/]\S*", env[name].strip())
    ]
    return hosts + urls


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _warnings(settings: Settings) -> list[str]:
    found = []
    basic = settings.monitoring_webhook_user and settings.monitoring_webhook_passwords
    if not basic and not settings.monitoring_webhook_tokens:
        found.append(
            "No credentials for Cloud Monitoring's webhook: POST /webhooks/cloud-monitoring answers 401. "
            "Set MONITORING_WEBHOOK_USER and MONITORING_WEBHOOK_PASSWORD, or MONITORING_WEBHOOK_TOKEN."
        )
    if not settings.pubsub_push_audience or not settings.pubsub_push_email:
        found.append(
            "No identity for Pub/Sub push: POST /webhooks/pubsub answers 401. Set PUBSUB_PUSH_AUDIENCE and "
            "PUBSUB_PUSH_EMAIL, or pull with PULL_SUBSCRIPTIONS."
        )
    if (settings.smtp_host or settings.hook_url) and not settings.public_url:
        found.append(
            "No PUBLIC_URL: the acknowledgement links in mails and hook calls lead to this machine only."
        )
    return found
