"""What mails and calls hooks, made of the settings: a part of the composition root."""

from __future__ import annotations

from typing import Any

from bot.core.links import key_from
from bot.desk.posting import Posts
from bot.post.hook import Hook
from bot.post.mail import Mail, MailServer
from bot.settings import Settings


class PostRoom:
    """The hook's session and the mail server's threads, held together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.mail = _mail(settings)
        self.hook = Hook()
        # Socket Mode needs no signing secret; the bot's token is as secret.
        self.link_key = key_from(
            settings.ack_secret or settings.slack_signing_secret or settings.slack_bot_token
        )

    def posts(self) -> Posts:
        """What the desk's poster sends with."""
        near = "127.0.0.1" if self._settings.host == "0.0.0.0" else self._settings.host
        here = f"http://[{near}]" if ":" in near else f"http://{near}"
        return Posts(
            hook=self.hook,
            mail=self.mail,
            sender=self._settings.smtp_from,
            hook_url=self._settings.hook_url,
            link_key=self.link_key,
            link_base=self._settings.public_url or f"{here}:{self._settings.port}",
        )

    async def close(self) -> None:
        """Let go of connections and threads."""
        await self.hook.close()
        if self.mail is not None:
            self.mail.close()


def _mail(settings: Settings) -> Mail | None:
    if not settings.smtp_host:
        return None
    tls: Any = settings.smtp_tls
    return Mail(
        MailServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.smtp_from,
            tls=tls,
            user=settings.smtp_user,
            password=settings.smtp_password,
        )
    )
