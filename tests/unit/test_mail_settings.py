"""The mail server's settings: what is left out follows from the port and the place, and mistakes are all told."""

from __future__ import annotations

import pytest

from bot.core.errors import ConfigError
from bot.settings import read

SLACK = {"SLACK_BOT_TOKEN": "xoxb-of-a-test", "SLACK_SIGNING_SECRET": "secret-of-a-test"}


@pytest.mark.parametrize(
    ("given", "port", "tls", "sender"),
    [
        ({"SMTP_HOST": "mail.example.com", "SMTP_FROM": "p@example.com"}, 587, "starttls", "p@example.com"),
        ({"SMTP_HOST": "mail.example.com", "SMTP_USER": "p@b.example", "SMTP_PORT": "465"}, 465, "tls", "p@b.example"),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1025"}, 1025, "none", "streamwatch@localhost"),
        ({"SMTP_HOST": "localhost", "SMTP_TLS": "TLS"}, 465, "tls", "streamwatch@localhost"),
    ],
)  # fmt: skip
def test_what_is_left_out_follows(given: dict[str, str], port: int, tls: str, sender: str) -> None:
    settings, _ = read({**SLACK, **given})
    assert (settings.smtp_port, settings.smtp_tls, settings.smtp_from) == (port, tls, sender)


def test_every_mistake_is_told_and_no_password_shown() -> None:
    given = {
        "SMTP_HOST": "mail.example.com",
        "SMTP_TLS": "none",
        "SMTP_PORT": "²",
        "SMTP_PASSWORD": "hunter2",
    }
    with pytest.raises(ConfigError) as told:
        read({**SLACK, **given})
    text = str(told.value)
    assert all(part in text for part in ("SMTP_PORT", "SMTP_FROM is missing", "travel readably"))
    assert "hunter2" not in text


def test_links_that_lead_nowhere_are_warned_of_and_secrets_stay_out_of_the_repr() -> None:
    given = {"HOOK_URL": "https://hooks.example.com/TOKEN", "ACK_SECRET": "hunter2"}
    settings, warnings = read({**SLACK, **given})
    assert any("PUBLIC_URL" in warning for warning in warnings)
    assert "TOKEN" not in repr(settings)
    assert "hunter2" not in repr(settings)
    assert not any(
        "acknowledgement links" in w for w in read({**SLACK, **given, "PUBLIC_URL": "https://bot"})[1]
    )
