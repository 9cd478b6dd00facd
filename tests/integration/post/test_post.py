"""Mail and hook against real servers: what each answer, silence and broken connection means for a page."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bot.core.delivery import Ambiguous, Kind, Leased, NotSent, Outbound, Outcome, Priority, Refused, Sent
from bot.core.letters import Call, Letter
from bot.core.links import key_from, read
from bot.core.policy import Policy
from bot.core.roster import FirstLevel, Person, Roster
from bot.desk.house import House
from bot.desk.posting import Poster, Posts
from bot.post.hook import Hook
from bot.post.mail import Mail, MailServer, Tls
from tests.support.office import Office
from tests.support.servers import free_port

AT = datetime(2026, 3, 2, 3, 10, tzinfo=UTC)
CALL = Call(key="k:page", body={"event": "page", "dedup_key": "k"})


def letter(**more: str) -> Letter:
    said = {
        "to": "alice@example.com", "subject": "[CRITICAL] INC-7 — Überlauf", "text": "Zeile eins\n.\nAck\n",
        "message_id": "<k@example.com>", "thread": "<t@example.com>", "incident": "INC-7", **more,
    }  # fmt: skip
    return Letter(**said, at=AT)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    found = Office()
    found.start()
    yield found
    found.stop()


def mailed(
    office: Office, said: Letter, *, tls: Tls = "none", user: str = "", password: str = "secret"
) -> Outcome:
    server = MailServer(
        host="127.0.0.1", port=office.smtp, sender="pages@example.com", tls=tls, user=user, password=password
    )
    mail = Mail(server)
    try:
        return asyncio.run(mail.send(said, 1))
    finally:
        mail.close()


async def _called(url: str, attempts: int) -> Outcome:
    hook = Hook()
    try:
        return await hook.send(url, CALL, attempts)
    finally:
        await hook.close()


def called(url: str, attempts: int = 1) -> Outcome:
    return asyncio.run(_called(url, attempts))


def test_a_mail_arrives_as_it_was_written(office: Office) -> None:
    assert isinstance(mailed(office, letter()), Sent)
    mail = office.mails()[-1]
    assert mail["headers"]["Subject"] == "[CRITICAL] INC-7 — Überlauf"
    assert mail["headers"]["Message-ID"] == "<k@example.com>"
    assert mail["headers"]["References"] == "<t@example.com>"
    assert mail["headers"]["Auto-Submitted"] == "auto-generated"
    assert mail["text"].splitlines() == ["Zeile eins", ".", "Ack"]


@pytest.mark.parametrize(("answer", "kind"), [(550, Refused), (552, Refused), (451, NotSent), (421, NotSent)])
def test_a_mail_servers_number_decides(office: Office, answer: int, kind: type[Outcome]) -> None:
    office.order(mail=[answer])
    outcome = mailed(office, letter())
    assert isinstance(outcome, kind)
    assert str(answer) in getattr(outcome, "reason", "")


def test_a_mail_whose_answer_never_came_is_in_doubt(office: Office) -> None:
    office.order(mail=["lost"])
    assert isinstance(mailed(office, letter()), Ambiguous)


@pytest.mark.parametrize("to", ["alice@exa\r\nRCPT TO:<x@y.z>", "ä@example.com"])
def test_an_address_that_cannot_be_written_to_is_refused(office: Office, to: str) -> None:
    before = len(office.mails())
    assert isinstance(mailed(office, letter(to=to)), Refused)
    assert len(office.mails()) == before


def test_a_server_that_is_not_there_or_lacks_tls_was_surely_not_sent_to(office: Office) -> None:
    assert isinstance(mailed(Office(), letter()), NotSent)
    plain = mailed(office, letter(), tls="starttls")
    assert isinstance(plain, NotSent)
    assert "STARTTLS" in plain.reason
    assert isinstance(mailed(office, letter(), tls="tls"), NotSent)


def test_tls_and_the_log_in_are_used_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(_certificate())
    closed = Office(more=(str(certificate),))
    closed.start()
    try:
        stranger = mailed(closed, letter(), tls="starttls", user="pages")
        assert isinstance(stranger, NotSent)
        assert "certificate" in stranger.reason
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        wrong = mailed(closed, letter(), tls="starttls", user="pages", password="wrong")
        assert isinstance(wrong, NotSent)
        assert "log-in" in wrong.reason
        assert isinstance(mailed(closed, letter(), tls="starttls", user="pages"), Sent)
        assert len(closed.mails()) == 1
    finally:
        closed.stop()


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        (200, Sent), (204, Sent), (302, Refused), (400, Refused), (404, Refused), (410, Refused), (408, NotSent),
        (429, NotSent), (500, Ambiguous), (503, Ambiguous), ("lost", Ambiguous),
    ],
)  # fmt: skip
def test_a_hooks_answer_decides(office: Office, order: int | str, kind: type[Outcome]) -> None:
    office.order(hook=[order])
    assert isinstance(called(f"{office.http}/hook/x"), kind)
    last = office.calls()[-1]
    assert last["body"] == {"event": "page", "dedup_key": "k"}
    assert last["headers"]["Idempotency-Key"] == "k:page"


def test_a_hook_that_is_not_there_was_surely_not_called() -> None:
    secret = f"http://127.0.0.1:{free_port()}/hook/TOKEN"
    outcome = called(secret, attempts=3)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_in >= timedelta(seconds=4)
    assert "TOKEN" not in outcome.reason


def _certificate() -> bytes:
    """A certificate for 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post-office")])
    now = datetime.now(UTC)
    near = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(
        subject_name=name, issuer_name=name, public_key=key.public_key(), serial_number=7,
        not_valid_before=now - timedelta(days=1), not_valid_after=now + timedelta(days=1),
    ).add_extension(near, critical=False).sign(key, hashes.SHA256())  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM) + private


def test_a_test_page_leaves_by_mail_and_hook_with_a_link_to_its_receipt(office: Office) -> None:
    alice = Person(name="alice", email="alice@example.com", hook=f"{office.http}/hook/alice")
    roster = Roster(people={"alice": alice}, first=FirstLevel())
    house = House(roster=roster, policy=Policy(), runbooks=(), pipelines=(), operations={})
    key = key_from("secret")
    data = {"receipt": "r1", "person": "alice", "due_at": AT.isoformat(), "subject": "Test", "text": "Hi"}

    async def send(kind: Kind) -> Outcome:
        server = MailServer(host="127.0.0.1", port=office.smtp, sender="pages@example.com", tls="none")
        mail, hook = Mail(server), Hook()
        posts = Posts(
            hook=hook,
            mail=mail,
            sender="pages@example.com",
            hook_url="",
            link_key=key,
            link_base="http://bot",
        )
        out = Outbound(key="test:r1", kind=kind, lane="test:r1", priority=Priority.ANSWER, data=data)
        row = Leased(id=1, token=1, outbound=out, attempts=1, ambiguous=False, first_try_at=0.0, version=1)
        try:
            return await Poster(posts, lambda: house, lambda: AT, lambda: AT).send(row, None)
        finally:
            mail.close()
            await hook.close()

    assert isinstance(asyncio.run(send(Kind.PAGE_MAIL)), Sent)
    assert isinstance(asyncio.run(send(Kind.PAGE_HOOK)), Sent)
    body, text = office.calls()[-1]["body"], office.mails()[-1]["text"]
    link = read(key, body["ack_url"].removeprefix("http://bot/ack/"))
    assert link is not None
    assert (link.page, link.person, link.genuine) == ("test:r1", "alice", True)
    assert body["ack_url"] in text
    assert body["severity"] == "info"
