"""Finds the user of a request by its token."""

from collections.abc import Iterable

import httpx

from identity.issuer_documents import IssuerDocuments, open_issuer_http
from identity.issuer_keys import IssuerKeys
from identity.tokens import TokenChecker, bearer_token
from identity.trusted_issuer import TrustedIssuer
from identity.users import User
from settings import Settings


class Identity:
    """The trusted issuer, its keys, and the checks of its tokens."""

    def __init__(self, issuer: TrustedIssuer, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = open_issuer_http(issuer, transport)
        self._keys = IssuerKeys(IssuerDocuments(issuer, self._http).key_set)
        self._tokens = TokenChecker(issuer, self._keys)
        self.issuer = issuer

    async def user(self, headers: Iterable[tuple[bytes, bytes]]) -> User:
        """The user of a request with these headers. Raises the errors of `identity/errors.py`."""
        return await self._tokens.user(bearer_token(headers))

    def prepare(self) -> None:
        """Start to fetch the keys, so that the first request need not wait and the log shows an unusable issuer."""
        self._keys.refresh_if_old()

    async def close(self) -> None:
        """Close the connection to the issuer."""
        await self._keys.close()
        await self._http.aclose()


def open_identity(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> Identity | None:
    """The identity that the settings describe; None if it is off. No socket is opened before the first use."""
    issuer = TrustedIssuer.from_settings(settings)
    return None if issuer is None else Identity(issuer, transport)
