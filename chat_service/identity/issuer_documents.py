"""Fetches an issuer's documents. Only this module opens connections to the issuer.

https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
"""

import asyncio
from urllib.parse import urlsplit

import httpx
from pydantic_core import from_json

from http_clients import no_cookies
from identity.signing_keys import InvalidKeySet, KeySet
from identity.trusted_issuer import TrustedIssuer
from identity_settings import LOCAL_HOSTS, is_safe_url

FETCH_TIMEOUT_SECONDS = 5.0
"""Time limit in seconds of one fetch of the keys, discovery included. A client may be waiting for it."""
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""Largest document, in bytes. 10,000 RSA keys take 4.5 MB; real issuers publish a few kilobytes."""


class IssuerFailure(Exception):
    """The keys could not be fetched. The message has no text from the issuer, so that it can be logged."""


def open_issuer_http(issuer: TrustedIssuer, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The HTTP client for the issuer. It follows no redirects and keeps no connection open between fetches.

    Unless the issuer is on this machine, HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE of the environment apply.
    """
    return httpx.AsyncClient(
        headers={"accept": "application/json", "accept-encoding": "identity"},
        timeout=FETCH_TIMEOUT_SECONDS,
        limits=httpx.Limits(max_keepalive_connections=0),
        follow_redirects=False,
        cookies=no_cookies(),
        trust_env=urlsplit(issuer.url).hostname not in LOCAL_HOSTS,
        transport=transport,
    )


class IssuerDocuments:
    """An issuer's key set, at the configured URL or at the one that discovery gives."""

    def __init__(self, issuer: TrustedIssuer, http: httpx.AsyncClient) -> None:
        self._issuer = issuer
        self._http = http
        self._discovered_url: str | None = None

    async def key_set(self) -> KeySet:
        """Fetch the keys. Discovery is asked at the first time, and again after a failure. Raises IssuerFailure."""
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                url = self._issuer.jwks_url or self._discovered_url or await self._discover()
                keys = KeySet.parse(await self._get(url))
        except TimeoutError:
            self._discovered_url = None
            raise IssuerFailure(f"no response within {FETCH_TIMEOUT_SECONDS:g} s") from None
        except InvalidKeySet as error:
            self._discovered_url = None
            raise IssuerFailure(str(error)) from None
        except IssuerFailure:
            self._discovered_url = None
            raise
        if self._issuer.jwks_url is None:
            self._discovered_url = url
        return keys

    async def _discover(self) -> str:
        document = await self._get(f"{self._issuer.url.rstrip('/')}/.well-known/openid-configuration")
        try:
            body: object = from_json(document)
        except ValueError:
            raise IssuerFailure("the discovery document is not JSON") from None
        if not isinstance(body, dict) or body.get("issuer") != self._issuer.url:
            raise IssuerFailure("the discovery document is of another issuer than OIDC_ISSUER")
        url = body.get("jwks_uri")
        if not isinstance(url, str) or not is_safe_url(url):
            raise IssuerFailure("the discovery document has no jwks_uri with https")
        return url

    async def _get(self, url: str) -> bytes:
        """The document, uncompressed and not longer than the limit."""
        try:
            async with self._http.stream("GET", url) as response:
                if response.status_code != 200:
                    raise IssuerFailure(f"status {response.status_code}")
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise IssuerFailure("a document is compressed, so its length is not known")
                document = bytearray()
                async for chunk in response.aiter_bytes():
                    document += chunk
                    if len(document) > MAX_DOCUMENT_BYTES:
                        raise IssuerFailure(f"a document is longer than {MAX_DOCUMENT_BYTES} bytes")
                return bytes(document)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise IssuerFailure(type(error).__name__) from None
