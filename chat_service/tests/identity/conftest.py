"""An issuer with one key, and a checker of its tokens that reaches it without a network."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import httpx2
import pytest
from fastapi import FastAPI

from identity.issuer_documents import IssuerDocuments, open_issuer_http
from identity.issuer_keys import IssuerKeys
from identity.tokens import TokenChecker
from identity.trusted_issuer import TrustedIssuer
from main import create_app
from settings import Settings
from tests.identity.openid_issuer import AUDIENCE, URL, OpenIdIssuer
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import ScriptedModel


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


@pytest.fixture
def settings() -> Settings:
    """Identity is on."""
    return Settings(
        oidc_issuer=URL,
        oidc_audience=(AUDIENCE,),
        llm_base_url="http://model.test/v1",
        llm_model="scripted",
        save_timeout_seconds=0.05,
    )


@pytest.fixture
def app(settings: Settings, memory: ScriptedMemory, model: ScriptedModel, issuer: OpenIdIssuer) -> FastAPI:
    """The service, with the issuer."""
    return create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
        callback_transport=httpx.MockTransport(lambda _: httpx.Response(204)),
        issuer_transport=httpx.MockTransport(issuer.handle),
    )


@pytest.fixture
def ada(issuer: OpenIdIssuer) -> dict[str, str]:
    """Ada's headers."""
    return {"Authorization": f"Bearer {issuer.token(sub='ada')}"}


@pytest.fixture
def bob(issuer: OpenIdIssuer) -> dict[str, str]:
    """Bob's headers."""
    return {"Authorization": f"Bearer {issuer.token(sub='bob')}"}
