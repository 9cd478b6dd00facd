"""Who pushes? The signed token of a Pub/Sub push, checked against Google's published keys.

Keys are fetched when one is unknown, at most once a minute, and kept when a later fetch fails.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

GOOGLE_CERTS = "https://www.googleapis.com/oauth2/v1/certs"
ISSUERS = ("accounts.google.com", "https://accounts.google.com")
REFRESH_SECONDS = 60.0
LEEWAY_SECONDS = 30
_FETCH_SECONDS = 5.0
_ANSWER_LIMIT = 512 * 1024

Fetch = Callable[[str], Awaitable[Any]]


class Unverifiable(Exception):
    """The keys could not be fetched: nothing can be said of the token now."""


async def fetch_json(url: str) -> Any:
    """The JSON at an address that is ours by configuration; redirects are not followed."""
    timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        answer.raise_for_status()
        return json.loads(await answer.content.read(_ANSWER_LIMIT))


class PushIdentity:
    """Checks push tokens for one audience and one service account; without them, every token fails.

    ``monotonic`` gives seconds that never go back.
    """

    def __init__(
        self,
        *,
        audience: str,
        email: str,
        certs_url: str,
        monotonic: Callable[[], float],
        fetch: Fetch = fetch_json,
    ) -> None:
        self._audience, self._email = audience, email
        self._url = certs_url or GOOGLE_CERTS
        self._monotonic, self._fetch = monotonic, fetch
        self._keys: dict[str, RSAPublicKey] = {}
        self._fetched: float | None = None
        self._one = asyncio.Lock()

    async def verify(self, token: str) -> bool:
        """True for a token that Google signed for us. Raises Unverifiable when that cannot be known now."""
        if not self._audience or not self._email:
            return False
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            return False
        kid = header.get("kid")
        if header.get("alg") != "RS256" or not isinstance(kid, str):
            return False
        key = self._keys.get(kid)
        if key is not None:
            verdict = self._claims(token, key)
            if verdict is not None:
                return verdict
        # Unknown, or signed with a key that has changed under the same name.
        if not await self._refresh():
            return False
        key = self._keys.get(kid)
        return key is not None and bool(self._claims(token, key))

    def _claims(self, token: str, key: RSAPublicKey) -> bool | None:
        """Whether the claims hold; None when the signature is not this key's."""
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "aud", "iss"]},
            )
        except jwt.InvalidSignatureError:
            return None
        except (jwt.PyJWTError, ValueError, TypeError):
            return False
        return (
            claims.get("iss") in ISSUERS
            and claims.get("email") == self._email
            and claims.get("email_verified") is True
        )

    async def _refresh(self) -> bool:
        """Fetch the keys unless that was done within the minute; True when they are new."""
        before = self._fetched
        async with self._one:
            if self._fetched is not before:
                return True  # somebody else did it while we waited
            now = self._monotonic()
            if self._fetched is not None and now - self._fetched < REFRESH_SECONDS:
                if not self._keys:
                    raise Unverifiable("the keys could not be fetched")
                return False
            self._fetched = now
            try:
                self._keys = read_keys(await self._fetch(self._url))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise Unverifiable(f"the keys could not be fetched ({type(error).__name__})") from error
            return True


def read_keys(document: Any) -> dict[str, RSAPublicKey]:
    """Keys by their id, from Google's two forms: {kid: PEM certificate} or a JWK set.

    Raises ValueError when there is no usable key in it.
    """
    if not isinstance(document, Mapping):
        raise ValueError("the keys are no JSON object")
    keys: dict[str, RSAPublicKey] = {}
    if isinstance(document.get("keys"), list):
        for entry in document["keys"]:
            if isinstance(entry, Mapping) and entry.get("kty") == "RSA" and isinstance(entry.get("kid"), str):
                try:
                    keys[entry["kid"]] = jwt.PyJWK.from_dict(dict(entry), algorithm="RS256").key
                except jwt.PyJWTError as error:
                    raise ValueError("a key that cannot be read") from error
    else:
        for kid, pem in document.items():
            public = x509.load_pem_x509_certificate(str(pem).encode()).public_key()
            if isinstance(public, RSAPublicKey):
                keys[str(kid)] = public
    if not keys:
        raise ValueError("no RSA key in the answer")
    return keys


def basic_credentials(header: bytes) -> bytes | None:
    """``user:password`` of an Authorization header, or None when it is no basic one."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def bearer_token(header: bytes) -> str | None:
    """The token of an Authorization header, or None when it is no bearer one."""
    scheme, _, value = header.partition(b" ")
    return value.strip().decode("latin-1") if scheme.lower() == b"bearer" else None
