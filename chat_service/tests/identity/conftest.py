"""An issuer with one key, and a checker of its tokens that reaches it without a network."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from identity.issuer_documents import IssuerDocuments, open_issuer_http
from identity.issuer_keys import IssuerKeys
from identity.tokens import TokenChecker
from identity.trusted_issuer import TrustedIssuer
from tests.identity.openid_issuer import AUDIENCE, URL, OpenIdIssuer


@dataclass
class Clock:
    """Time that passes only when a test says so, in seconds."""

    now: float = 1_000.0
    passed: float = field(default=0.0, init=False)

    def __call__(self) -> float:
        return self.now + self.passed


@pytest.fixture
def issuer() -> OpenIdIssuer:
    """The issuer, which publishes the RSA key `k1`."""
    issuer = OpenIdIssuer()
    issuer.publish("k1")
    return issuer


@pytest.fixture
def clock() -> Clock:
    """The clock of the keys."""
    return Clock()


@pytest.fixture
def trusted() -> TrustedIssuer:
    """The issuer as the settings describe it."""
    return TrustedIssuer(URL, (AUDIENCE,))


@pytest.fixture
async def keys(issuer: OpenIdIssuer, trusted: TrustedIssuer, clock: Clock) -> AsyncIterator[IssuerKeys]:
    """The issuer's keys as the service keeps them."""
    async with open_issuer_http(trusted, httpx.MockTransport(issuer.handle)) as http:
        keys = IssuerKeys(IssuerDocuments(trusted, http).key_set, clock)
        yield keys
        await keys.close()


@pytest.fixture
def checker(trusted: TrustedIssuer, keys: IssuerKeys) -> TokenChecker:
    """Checks the issuer's tokens."""
    return TokenChecker(trusted, keys)
