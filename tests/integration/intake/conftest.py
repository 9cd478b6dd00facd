"""An intake on a real database, with a signer of push tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from bot.clock import ManualClock
from bot.store.database import Database
from bot.web.intake import Intake, IntakeSettings
from tests.integration.intake.asgi import Answer, basic, request

AUDIENCE = "https://bot.example.com/webhooks/pubsub"
EMAIL = "push@demo-project.iam.gserviceaccount.com"
MONITORING = "/webhooks/cloud-monitoring"
PUBSUB = "/webhooks/pubsub"
SETTINGS = IntakeSettings(
    monitoring_user="monitoring",
    monitoring_passwords=("old-password", "new-password"),
    monitoring_tokens=("a-token",),
    push_audience=AUDIENCE,
    push_email=EMAIL,
    certs_url="http://127.0.0.1:9/certs",
)


class Signer:
    """Google's part: a key, its certificate, tokens."""

    def __init__(self, kid: str = "k1") -> None:
        self.kid = kid
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def certificate(self) -> str:
        """Self-signed, in PEM."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.google.com")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(7)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def token(self, *, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A valid token, except for what is given; None leaves a claim out."""
        now = datetime.now(UTC)
        plain = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": EMAIL,
            "email_verified": True,
            "iat": now,
            "exp": now + timedelta(hours=1),
            **claims,
        }
        kept = {name: value for name, value in plain.items() if value is not None}
        return jwt.encode(kept, self.key, algorithm="RS256", headers={"kid": self.kid, **(headers or {})})


@dataclass
class Google:
    """The published keys, and how often they were fetched."""

    keys: dict[str, str] = field(default_factory=dict)
    fetched: int = 0
    down: bool = False

    async def fetch(self, _url: str) -> Any:
        """What the bot calls."""
        self.fetched += 1
        if self.down:
            raise OSError("unreachable")
        return dict(self.keys)


@pytest.fixture(scope="session")
def signer() -> Signer:
    """One key for all tests: making one is slow."""
    return Signer()


@pytest.fixture
def google(signer: Signer) -> Google:
    """Publishes the signer's certificate."""
    return Google({signer.kid: signer.certificate()})


@pytest.fixture
def clock() -> ManualClock:
    """Stands still."""
    return ManualClock(datetime(2026, 11, 23, 3, 10, tzinfo=UTC))


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """A new SQLite file."""
    return f"sqlite:///{tmp_path / 'intake.db'}"


@pytest.fixture
def database(store_url: str, clock: ManualClock) -> Iterator[Database]:
    """Gives up quickly when it is locked."""
    with Database(store_url, clock, create=True, busy_timeout_ms=200) as opened:
        yield opened


class Desk:
    """The intake with short hands."""

    def __init__(self, intake: Intake, signer: Signer) -> None:
        self.intake, self.signer = intake, signer
        self.commits = 0

    async def alert(self, body: bytes, **how: Any) -> Answer:
        """Post to Cloud Monitoring's webhook, with valid credentials unless others are given."""
        how.setdefault("headers", basic("monitoring", "new-password"))
        return await request(self.intake, MONITORING, body, **how)

    async def push(self, body: bytes, **how: Any) -> Answer:
        """Post to the push webhook."""
        how.setdefault("headers", {"authorization": f"Bearer {self.signer.token()}"})
        return await request(self.intake, PUBSUB, body, **how)


@pytest.fixture
async def desk(database: Database, clock: ManualClock, signer: Signer, google: Google) -> AsyncIterator[Desk]:
    """The intake in front of an application that says 404."""
    commits = []

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    def committed() -> None:
        commits.append(1)
        made.commits = len(commits)

    intake = Intake(database, SETTINGS, committed, elsewhere, clock=clock, fetch=google.fetch)
    made = Desk(intake, signer)
    yield made
    await intake.close()


def notification(number: str = "0.abc", state: str = "open", **incident: Any) -> bytes:
    """A Cloud Monitoring notification."""
    plain = {
        "incident_id": number,
        "state": state,
        "started_at": 1795400000,
        "summary": "Job is failed with a value of 1.",
        "policy_name": "Dataflow job failed",
        "condition": {"name": "projects/demo-project/alertPolicies/1/conditions/2", "displayName": "failed"},
        "resource": {"type": "dataflow_job", "labels": {"job_name": "ecommerce-streaming"}},
    }
    return json.dumps({"version": "1.2", "incident": {**plain, **incident}}).encode()


def envelope(data: bytes | str, message_id: str | None = "m1", **attributes: str) -> bytes:
    """A push request's body."""
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    message: dict[str, Any] = {"data": text, "attributes": attributes, "publishTime": "2026-11-23T03:10:00Z"}
    if message_id:
        message["messageId"] = message_id
    return json.dumps({"message": message, "subscription": "projects/demo-project/subscriptions/s"}).encode()
