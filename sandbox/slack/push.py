"""What Google posts to the app: Pub/Sub pushes with a signed token, and Cloud Monitoring's notifications."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox.slack.delivery import JSON
from sandbox.slack.environment import (
    PROJECT,
    PUSH_EMAIL,
    PUSH_PATH,
    WEBHOOK_PASSWORD,
    WEBHOOK_USER,
    push_audience,
)
from sandbox.slack.errors import Refused
from sandbox.slack.hub import Hub
from sandbox.slack.interactions import described
from sandbox.slack.model import Json

ISSUER = "https://accounts.google.com"
MONITORING_PATH = "/webhooks/cloud-monitoring"
SECONDS = 10.0


class Signer:
    """Signs tokens as Google does, with a key made for this run; its certificate is served in Google's form."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_id = secrets.token_hex(20)

    def certificates(self, now: datetime) -> dict[str, str]:
        """`{kid: PEM certificate}`, valid around `now` (aware UTC)."""
        name = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")]
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=16))
            .sign(self._key, hashes.SHA256())
        )
        return {self.key_id: certificate.public_bytes(serialization.Encoding.PEM).decode()}

    def token(self, audience: str, now: datetime) -> str:
        """An OIDC token of the push service account for an audience, valid for an hour."""
        issued = int(now.timestamp())
        claims = {
            "aud": audience,
            "azp": "113774264463038321964",
            "email": PUSH_EMAIL,
            "email_verified": True,
            "exp": issued + 3600,
            "iat": issued,
            "iss": ISSUER,
            "sub": "113774264463038321964",
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self.key_id})


async def push(hub: Hub, signer: Signer, body: Json) -> Json:
    """Deliver one Pub/Sub push: `data` is text, JSON or base64 of JSON; `attributes` are strings."""
    attributes = body.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(isinstance(v, str) for v in attributes.values()):
        raise Refused("attributes must be an object of strings")
    message_id = str(body.get("message_id") or secrets.randbelow(10**16))
    published = hub.clock.wall().astimezone(UTC).isoformat().replace("+00:00", "Z")
    message = {
        "data": _encoded(body.get("data")),
        "messageId": message_id,
        "message_id": message_id,
        "publishTime": published,
        "publish_time": published,
        **({"attributes": attributes} if attributes else {}),
    }
    subscription = str(body.get("subscription") or f"projects/{PROJECT}/subscriptions/alerts-push")
    envelope = {"message": message, "subscription": subscription}
    token = signer.token(push_audience(hub.app_url), hub.clock.wall())
    headers = {"Content-Type": JSON, "Authorization": f"Bearer {token}", "User-Agent": "APIs-Google"}
    raw = json.dumps(envelope).encode()
    return described(await hub.delivery.post("push", message_id, PUSH_PATH, raw, headers, SECONDS))


def _encoded(data: Any) -> str:
    if data is None:
        return ""
    if isinstance(data, str) and _is_encoded_json(data):
        return data
    text = data if isinstance(data, str) else json.dumps(data)
    return base64.b64encode(text.encode()).decode()


def _is_encoded_json(text: str) -> bool:
    try:
        json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
    return bool(text) and not text.isdigit()


async def alert(hub: Hub, body: Json) -> Json:
    """Deliver a Cloud Monitoring notification; what the body leaves out is filled in sensibly."""
    given = body.get("incident", {k: v for k, v in body.items() if k != "version"})
    if not isinstance(given, dict):
        raise Refused("incident must be an object")
    incident = _incident(hub, given)
    raw = json.dumps({"version": str(body.get("version", "1.2")), "incident": incident}).encode()
    credentials = base64.b64encode(f"{WEBHOOK_USER}:{WEBHOOK_PASSWORD}".encode()).decode()
    headers = {"Content-Type": JSON, "Authorization": f"Basic {credentials}"}
    name = str(incident["incident_id"])
    outcome = await hub.delivery.post("alert", name, MONITORING_PATH, raw, headers, SECONDS)
    return described(outcome) | {"incident_id": name}


def _incident(hub: Hub, given: Json) -> Json:
    now = int(hub.clock.now().timestamp())
    state = given.get("state", "open")
    defaults: Json = {
        "incident_id": f"0.{secrets.token_hex(6)}",
        "scoping_project_id": PROJECT,
        "scoping_project_number": 123456789012,
        "url": f"https://console.cloud.google.com/monitoring/alerting?project={PROJECT}",
        "started_at": now,
        "ended_at": now if state == "closed" else None,
        "state": state,
        "summary": "Raised in the sandbox.",
        "policy_name": "Dataflow job failed",
        "condition_name": "Job is failed",
        "severity": "Critical",
        "observed_value": "1",
        "threshold_value": "0",
        "resource": {
            "type": "dataflow_job",
            "labels": {"job_name": "ecommerce-streaming", "project_id": PROJECT, "region": "europe-west1"},
        },
        "resource_display_name": "ecommerce-streaming",
        "metric": {"type": "dataflow.googleapis.com/job/is_failed", "displayName": "Failed", "labels": {}},
        "policy_user_labels": {},
    }
    return defaults | given
