"""When the issuer's keys are fetched, how often, and what happens while the issuer is down."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from identity.errors import InvalidToken, IssuerUnavailable
from identity.issuer_documents import MAX_DOCUMENT_BYTES, IssuerDocuments, open_issuer_http
from identity.issuer_keys import FIRST_RETRY_SECONDS, REFRESH_SECONDS, UNKNOWN_KEY_SECONDS, IssuerKeys
from identity.trusted_issuer import TrustedIssuer
from tests.asgi_calls import settled
from tests.identity.conftest import Clock
from tests.identity.openid_issuer import URL, OpenIdIssuer

WAITING = 1_000
"""Requests at once."""


async def _down(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


async def test_keys_are_found_by_discovery_once(keys: IssuerKeys, issuer: OpenIdIssuer) -> None:
    """The first token causes discovery and one fetch; the next ones cause nothing."""
    for _ in range(3):
        await keys.find("k1", "RS256")
    assert issuer.requested_urls == [f"{URL}/.well-known/openid-configuration", f"{URL}/keys"]


async def test_configured_url_replaces_discovery(issuer: OpenIdIssuer, clock: Clock) -> None:
    """With OIDC_JWKS_URL the issuer is not asked for its configuration."""
    trusted = TrustedIssuer(URL, ("chat",), jwks_url="https://elsewhere.test/keys")
    async with open_issuer_http(trusted, httpx.MockTransport(issuer.handle)) as http:
        await IssuerKeys(IssuerDocuments(trusted, http).key_set, clock).find("k1", "RS256")
    assert issuer.requested_urls == ["https://elsewhere.test/keys"]


@pytest.mark.parametrize("is_warm", [True, False])
async def test_unknown_keys_at_once_cause_one_fetch(
    keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock, *, is_warm: bool
) -> None:
    """A thousand requests with key ids that the issuer does not have cause one fetch, all get 401."""
    if is_warm:
        await keys.find("k1", "RS256")
        clock.passed += UNKNOWN_KEY_SECONDS
    issuer.fetched.clear()
    issuer.gate.clear()
    searches = [asyncio.create_task(keys.find(f"unknown-{number}", "RS256")) for number in range(WAITING)]
    await settled()
    issuer.gate.set()
    results = await asyncio.gather(*searches, return_exceptions=True)
    assert [type(result) for result in results] == [InvalidToken] * WAITING
    assert issuer.fetched["keys"] == 1


async def test_unknown_keys_cause_one_fetch_a_minute(keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock) -> None:
    """One after the other, they cause the next fetch only when a minute has passed."""
    await keys.find("k1", "RS256")
    for seconds, fetches in [(0.0, 2), (1.0, 2), (UNKNOWN_KEY_SECONDS - 2, 2), (1.0, 3), (1.0, 3)]:
        clock.passed += seconds
        with pytest.raises(InvalidToken):
            await keys.find("unknown", "RS256")
        assert issuer.fetched["keys"] == fetches


async def test_new_key_is_found_at_once(keys: IssuerKeys, issuer: OpenIdIssuer) -> None:
    """A key that the issuer has rotated in is found by the first token that is signed with it."""
    await keys.find("k1", "RS256")
    issuer.keys.clear()
    issuer.publish("k2")
    assert (await keys.find("k2", "RS256")).algorithm_name == "RS256"


async def test_withdrawn_key_is_refused_after_the_refresh(keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock) -> None:
    """Old keys are fetched again in the background, so a key that the issuer withdraws is soon unknown."""
    issuer.publish("k2")
    await keys.find("k1", "RS256")
    del issuer.keys[0]
    clock.passed += REFRESH_SECONDS
    keys.refresh_if_old()
    await settled()
    with pytest.raises(InvalidToken):
        await keys.find("k1", "RS256")


async def test_known_keys_are_used_while_the_issuer_is_down(
    keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock
) -> None:
    """Days after the issuer went down its known keys are still used, and it is asked at most once a minute."""
    await keys.find("k1", "RS256")
    issuer.answer = _down
    issuer.fetched.clear()
    clock.passed += 100 * REFRESH_SECONDS
    for _ in range(20):
        keys.refresh_if_old()
        await settled()
        await keys.find("k1", "RS256")
    assert sum(issuer.fetched.values()) == 1


async def test_nobody_waits_for_the_refresh(keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock) -> None:
    """While the keys are fetched again from an issuer that hangs, the known ones answer at once."""
    await keys.find("k1", "RS256")
    issuer.gate.clear()
    clock.passed += REFRESH_SECONDS
    keys.refresh_if_old()
    await settled()
    await asyncio.wait_for(keys.find("k1", "RS256"), 1)
    issuer.gate.set()


async def test_unknown_key_while_the_issuer_is_down(keys: IssuerKeys, issuer: OpenIdIssuer) -> None:
    """The key could be a new one that cannot be fetched: 503 with Retry-After, not 401."""
    await keys.find("k1", "RS256")
    issuer.answer = _down
    for _ in range(2):
        with pytest.raises(IssuerUnavailable) as caught:
            await keys.find("k2", "RS256")
        assert caught.value.headers == {"Retry-After": "60"}
    assert issuer.fetched["keys"] == 2


async def test_issuer_down_at_first_use(keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock) -> None:
    """No keys and no issuer: 503 at most once asked a second, and good again as soon as the issuer is."""
    issuer.answer = _down
    for _ in range(3):
        with pytest.raises(IssuerUnavailable):
            await keys.find("k1", "RS256")
    assert sum(issuer.fetched.values()) == 1
    issuer.answer = None
    clock.passed += FIRST_RETRY_SECONDS
    await keys.find("k1", "RS256")


async def test_client_that_leaves_does_not_end_the_fetch(keys: IssuerKeys, issuer: OpenIdIssuer) -> None:
    """The other requests that wait for the same fetch get their keys."""
    issuer.gate.clear()
    first, second = (asyncio.create_task(keys.find("k1", "RS256")) for _ in range(2))
    await settled()
    first.cancel()
    await asyncio.wait([first])
    issuer.gate.set()
    assert (await second).algorithm_name == "RS256"
    assert issuer.fetched["keys"] == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(500), "status 500"),
        (httpx.Response(302, headers={"location": "https://evil.test/keys"}), "status 302"),
        (httpx.Response(200, content=b"<html>"), "not JSON"),
        (httpx.Response(200, json=[]), "another issuer"),
        (httpx.Response(200, json={"issuer": "https://evil.test", "jwks_uri": f"{URL}/keys"}), "another issuer"),
        (httpx.Response(200, json={"issuer": f"{URL}/", "jwks_uri": f"{URL}/keys"}), "another issuer"),
        (httpx.Response(200, json={"issuer": URL}), "no jwks_uri"),
        (httpx.Response(200, json={"issuer": URL, "jwks_uri": "http://issuer.test/keys"}), "no jwks_uri"),
        (httpx.Response(200, json={"issuer": URL, "jwks_uri": "file:///etc/passwd"}), "no jwks_uri"),
        (httpx.Response(200, json={"issuer": URL, "jwks_uri": "https://[::1"}), "no jwks_uri"),
        (httpx.Response(200, json={"issuer": URL, "jwks_uri": 7}), "no jwks_uri"),
        (httpx.Response(200, content=b"[" * 100_000), "not JSON"),
    ],
)
async def test_unusable_discovery(
    keys: IssuerKeys,
    issuer: OpenIdIssuer,
    caplog: pytest.LogCaptureFixture,
    answer: httpx.Response,
    reason: str,
) -> None:
    """Discovery that fails or leads elsewhere gives no keys; the log says why, and nothing of the document."""

    async def answered(_request: httpx.Request) -> httpx.Response:
        return answer

    issuer.answer = answered
    with caplog.at_level(logging.INFO), pytest.raises(IssuerUnavailable):
        await keys.find("k1", "RS256")
    assert reason in caplog.text
    assert "evil" not in caplog.text
    assert not any("evil" in url for url in issuer.requested_urls)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, "k1"]}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"}]}',
        b'{"keys": [{"kty": ["RSA"], "kid": {}, "use": [], "key_ops": 1}]}',
        b"[" * 1_000_000,
        b" " * (MAX_DOCUMENT_BYTES + 1),
        b"\xff\xfe",
    ],
    ids=lambda document: repr(document[:30]),
)
async def test_unusable_key_set_keeps_the_known_keys(
    keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock, document: bytes
) -> None:
    """A document without signature keys is a failure of the issuer. The known keys stay in use."""
    await keys.find("k1", "RS256")
    issuer.raw_keys = document or b" "
    clock.passed += REFRESH_SECONDS
    keys.refresh_if_old()
    await settled()
    await keys.find("k1", "RS256")
    assert issuer.fetched["keys"] == 2


async def test_endless_document_is_cut(issuer: OpenIdIssuer, keys: IssuerKeys) -> None:
    """A document that is too long is given up at the limit, not held in memory."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 3 * MAX_DOCUMENT_BYTES:
            sent += 65_536
            yield b" " * 65_536

    async def answered(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=endless())

    issuer.answer = answered
    with pytest.raises(IssuerUnavailable):
        await keys.find("k1", "RS256")
    assert sent <= MAX_DOCUMENT_BYTES + 2 * 65_536


async def test_cookies_are_not_kept(issuer: OpenIdIssuer, keys: IssuerKeys) -> None:
    """What an issuer sets as cookies is neither held nor sent back."""
    sent: list[str | None] = []

    async def answered(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, json=issuer.discovery | {"keys": issuer.keys}, headers={"set-cookie": "a=b"})

    issuer.answer = answered
    await keys.find("k1", "RS256")
    assert sent == [None, None]


async def test_issuer_that_hangs(
    issuer: OpenIdIssuer, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An issuer that accepts the request and does not respond costs the time limit, then 503."""
    monkeypatch.setattr("identity.issuer_documents.FETCH_TIMEOUT_SECONDS", 0.02)
    issuer.gate.clear()
    with pytest.raises(IssuerUnavailable):
        await asyncio.wait_for(keys.find("k1", "RS256"), 2)
    assert "no response within 0.02 s" in caplog.text
    issuer.gate.set()


async def test_issuer_that_drips(issuer: OpenIdIssuer, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit is that of the whole fetch: a byte now and then does not prolong it."""
    monkeypatch.setattr("identity.issuer_documents.FETCH_TIMEOUT_SECONDS", 0.05)

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.005)

    async def answered(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=drip())

    issuer.answer = answered
    with pytest.raises(IssuerUnavailable):
        await asyncio.wait_for(keys.find("k1", "RS256"), 2)


async def test_discovery_is_asked_again_after_a_failure(keys: IssuerKeys, issuer: OpenIdIssuer, clock: Clock) -> None:
    """An issuer that moves its keys is followed: its old URL fails, so discovery is asked for the new one."""
    await keys.find("k1", "RS256")
    issuer.discovery["jwks_uri"] = f"{URL}/moved/keys"
    issuer.raw_keys = b"gone"
    for _ in range(2):
        clock.passed += REFRESH_SECONDS
        keys.refresh_if_old()
        await settled()
    assert issuer.requested_urls[-1] == f"{URL}/moved/keys"
