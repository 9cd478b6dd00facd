"""One mail by SMTP. Answers with an Outcome, never raises for what a mail server or the network did.

Until the end of the message is on its way nothing was sent, and the mail may be tried again blindly; after that only
the server's answer tells. Who gets it twice knows it by its Message-ID.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

from bot.core.delivery import MAIL_TIMEOUT, Ambiguous, NotSent, Outcome, Refused, Sent, back_off
from bot.core.letters import Letter

Tls = Literal["starttls", "tls", "none"]
AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mails are handed in. ``user`` empty: without a log-in."""

    host: str
    port: int
    sender: str
    tls: Tls = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)


class Mail:
    """Hands letters in at one server, a connection for each: a page is rare, and a kept connection may be dead."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._context = ssl.create_default_context()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mail")

    async def send(self, letter: Letter, attempts: int) -> Outcome:
        """Hand the letter in; ``attempts`` is which try this is, for the wait before the next."""
        limit = MAIL_TIMEOUT.total_seconds()
        doing = self._threads.submit(self._hand_in, letter, time.monotonic() + limit, attempts)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(doing), limit)
        except TimeoutError:
            if doing.cancel():
                return NotSent(reason="other mails are being handed in", retry_in=back_off(attempts))
            return Ambiguous(reason="the mail server takes too long", retry_in=back_off(attempts))

    def close(self) -> None:
        """Let go of the threads; a mail that is under way ends by its own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hand_in(self, letter: Letter, until: float, attempts: int) -> Outcome:
        ending = False
        again = back_off(attempts)
        try:
            message = _message(letter, self._server.sender)
            with _Session(self._server, self._context, until) as session:
                session.envelope(self._server.sender, letter.to)
                ending = True
                session.text(message)
            return Sent(result={"message_id": letter.message_id})
        except smtplib.SMTPResponseException as error:
            return _answered(int(error.smtp_code), again)
        except (OSError, smtplib.SMTPException) as error:
            reason = _reason(error)
            return (
                Ambiguous(reason=reason, retry_in=again) if ending else NotSent(reason=reason, retry_in=again)
            )
        except (ValueError, UnicodeError):
            return Refused(reason="the address cannot be written to")


class _Session:
    """One connection; each step has what is left of the time."""

    def __init__(self, server: MailServer, context: ssl.SSLContext, until: float) -> None:
        self._until = until
        if server.tls == "tls":
            self._smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, _name(server), timeout=self._left(), context=context
            )
        else:
            self._smtp = smtplib.SMTP(server.host, server.port, _name(server), timeout=self._left())
        try:
            self._greet(server, context)
        except BaseException:
            self._smtp.close()
            raise

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        # No polite QUIT: the mail is in, and an answer to that would only take time.
        self._smtp.close()

    def envelope(self, sender: str, to: str) -> None:
        """Who sends, to whom. Raises SMTPResponseException for a refusal."""
        self._step()
        self._need(self._smtp.mail(sender))
        self._step()
        self._need(self._smtp.rcpt(to))

    def text(self, message: EmailMessage) -> None:
        """The message; returns when the server took it. Raises SMTPResponseException for a refusal."""
        self._step()
        self._need(self._smtp.data(message.as_bytes(policy=message.policy.clone(linesep="\r\n"))))

    def _greet(self, server: MailServer, context: ssl.SSLContext) -> None:
        self._smtp.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            self._step()
            self._smtp.starttls(context=context)
            self._smtp.ehlo()
        if server.user:
            self._step()
            self._smtp.login(server.user, server.password)

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the mail server takes too long")
        return left

    def _step(self) -> None:
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(self._left())

    def _need(self, answer: tuple[int, bytes]) -> None:
        code, said = answer
        if code >= 300:
            raise smtplib.SMTPResponseException(code, said)


def _name(server: MailServer) -> str:
    """What this side calls itself. Left to itself, smtplib asks the name service, and waits for it."""
    domain = server.sender.rpartition("@")[2]
    return domain if domain.isascii() and domain else "localhost"


def _answered(code: int, wait: timedelta) -> Outcome:
    """A server's own words may quote addresses and secrets: the number says enough."""
    if code in (530, 534, 535, 538):
        return NotSent(reason=f"the mail server does not take the log-in (SMTP {code})", retry_in=wait)
    if 500 <= code < 600:
        return Refused(reason=f"the mail server refused it (SMTP {code})")
    return NotSent(reason=f"the mail server cannot take it now (SMTP {code})", retry_in=wait)


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server offers no STARTTLS or no log-in"
    if isinstance(error, TimeoutError):
        return "the mail server takes too long"
    if isinstance(error, ssl.SSLError):
        return "the mail server's certificate or TLS cannot be used"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "the mail server hung up"
    return "the mail server cannot be reached"


def _message(letter: Letter, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = letter.message_id
    message["References"] = letter.thread
    message["Auto-Submitted"] = "auto-generated"
    if letter.incident:
        message["X-Streamwatch-Incident"] = letter.incident
    message.set_content(letter.text)
    return message
