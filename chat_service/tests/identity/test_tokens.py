"""Which tokens are accepted, as properties over algorithms, claims and damage."""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity.errors import AuthorizationMalformed, InvalidToken, TokenMissing
from identity.issuer_documents import IssuerDocuments, open_issuer_http
from identity.issuer_keys import REFRESH_SECONDS, UNKNOWN_KEY_SECONDS, IssuerKeys
from identity.signing_keys import ALGORITHMS
from identity.tokens import LEEWAY_SECONDS, MAX_SUBJECT_CHARS, MAX_TOKEN_CHARS, TokenChecker, bearer_token
from identity.trusted_issuer import TrustedIssuer
from identity.user_ids import user_of
from tests.asgi_calls import settled
from tests.identity.conftest import Clock
from tests.identity.openid_issuer import AUDIENCE, URL, OpenIdIssuer, authorization, private_key

shared_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def encoded(part: bytes | Mapping[str, object]) -> str:
    """A part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def forged(header: Mapping[str, object], claims: Mapping[str, object], sign: Callable[[bytes], bytes]) -> str:
    """A token with any header at all, signed by `sign`."""
    content = f"{encoded(header)}.{encoded(claims)}"
    return f"{content}.{encoded(sign(content.encode()))}"


def signer(algorithm: str, key: str = "k1") -> Callable[[bytes], bytes]:
    """Signs with the key of that name."""
    return lambda content: jwt.get_algorithm_by_name(algorithm).sign(content, private_key(key, algorithm))


async def refusal(checker: TokenChecker, token: str) -> str:
    """The reason why the token is refused."""
    with pytest.raises(InvalidToken) as caught:
        await checker.user(token)
    assert caught.value.status == 401
    assert caught.value.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')
    return caught.value.detail


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_every_accepted_algorithm(checker: TokenChecker, issuer: OpenIdIssuer, algorithm: str) -> None:
    """A token signed with an accepted algorithm names its user."""
    issuer.publish("k2", algorithm)
    user = await checker.user(issuer.token("k2", algorithm))
    assert user == user_of(TrustedIssuer(URL), "ada")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("named", ALGORITHMS)
async def test_header_cannot_choose_another_algorithm(
    checker: TokenChecker, issuer: OpenIdIssuer, algorithm: str, named: str
) -> None:
    """A header that names another algorithm than the one that signed is refused, whatever the kinds of both."""
    issuer.publish("k2", algorithm)
    token = forged({"alg": named, "kid": "k2"}, issuer.claims(), signer(algorithm, "k2"))
    if named == algorithm:
        await checker.user(token)
    else:
        await refusal(checker, token)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "der", "jwk", "empty"])
async def test_public_key_is_no_shared_secret(
    checker: TokenChecker, issuer: OpenIdIssuer, algorithm: str, form: str
) -> None:
    """HMAC with the issuer's public key as secret, in any spelling of the key, is refused."""
    public = private_key("k1", "RS256").public_key()
    secret = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(issuer.keys[0]).encode(),
        "empty": b"",
    }[form]
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    header = {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    token = forged(header, issuer.claims(), lambda content: hmac.new(secret, content, digest).digest())
    assert "RS256" in await refusal(checker, token)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "ES256K", "ES521", "RS1", None, 1, ["RS256"], {}])
async def test_other_algorithms_are_refused(checker: TokenChecker, issuer: OpenIdIssuer, name: object) -> None:
    """No algorithm, no signature, or an algorithm that is not in the list."""
    await refusal(checker, forged({"alg": name, "kid": "k1"}, issuer.claims(), lambda _: b""))
    await refusal(checker, forged({"alg": name, "kid": "k1"}, issuer.claims(), signer("RS256")))
    await refusal(checker, forged({"kid": "k1"}, issuer.claims(), lambda _: b""))


@pytest.mark.parametrize(
    "headers",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"typ": "logout+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": 1},
        {"kid": 1},
        {"kid": ["k1"]},
    ],
)
async def test_header_that_is_not_accepted(
    checker: TokenChecker, issuer: OpenIdIssuer, headers: dict[str, object]
) -> None:
    """Critical extensions, tokens of another kind, and key ids that are not text are refused, though well signed."""

    await refusal(checker, forged({"alg": "RS256", "kid": "k1", **headers}, issuer.claims(), signer("RS256")))
    await checker.user(forged({"alg": "RS256", "kid": "k1"}, issuer.claims(), signer("RS256")))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
async def test_types_of_tokens(checker: TokenChecker, issuer: OpenIdIssuer, kind: str) -> None:
    """A plain JWT and an access token of RFC 9068 are accepted, whatever the case."""
    await checker.user(issuer.token(headers={"typ": kind}))


@pytest.mark.parametrize("name", ["jku", "x5u"])
async def test_key_urls_are_never_followed(checker: TokenChecker, issuer: OpenIdIssuer, name: str) -> None:
    """A token that says where its key is does not make the service look there."""
    token = issuer.token("k2", key="mallory", headers={name: "https://evil.test/keys"})
    await refusal(checker, token)
    assert all(url.startswith(URL) for url in issuer.requested_urls)


@pytest.mark.parametrize("name", ["jwk", "x5c"])
async def test_keys_in_the_token_are_never_used(checker: TokenChecker, issuer: OpenIdIssuer, name: str) -> None:
    """A token that brings its own key is checked with the issuer's."""
    mallory = OpenIdIssuer()
    mallory.publish("k1", name="mallory")
    value = {"jwk": mallory.keys[0], "x5c": ["MIIB"]}[name]
    assert "signature" in await refusal(checker, issuer.token("k1", key="mallory", headers={name: value}))


@pytest.mark.parametrize(
    "kid", ['k1"', "k1'; --", "../k1", "https://evil.test/k1", "k1\u0000", "\u0440\u0443", "x" * 9_000]
)
async def test_strange_key_ids(checker: TokenChecker, issuer: OpenIdIssuer, kid: str) -> None:
    """A key id is compared and nothing else: no path, no query, no URL is made from it."""
    await refusal(checker, issuer.token(kid, key="k1"))
    assert set(issuer.requested_urls) == {f"{URL}/.well-known/openid-configuration", f"{URL}/keys"}


@shared_fixtures
@given(data=st.data())
async def test_damaged_token_is_refused(data: st.DataObject) -> None:
    """Any change of a character makes a token invalid, and never causes another error than 401."""
    issuer = OpenIdIssuer()
    algorithm = data.draw(st.sampled_from(["RS256", "ES256", "EdDSA"]))
    issuer.publish("k1", algorithm)
    token = issuer.token("k1", algorithm)
    position = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("ABCwxyz019-_.+/~="))
    damaged = token[:position] + character + token[position + 1 :]
    if damaged != token:
        await refusal(checker_of(issuer), damaged)


@shared_fixtures
@given(header=st.binary(max_size=60), claims=st.binary(max_size=60), signature=st.binary(max_size=60))
async def test_garbage_is_refused(header: bytes, claims: bytes, signature: bytes) -> None:
    """Whatever the three parts hold, the token is invalid; no other error comes out."""
    issuer = OpenIdIssuer()
    issuer.publish("k1", "EdDSA")
    checker = checker_of(issuer)
    good = encoded({"alg": "EdDSA", "kid": "k1"})
    for first in (encoded(header), good):
        await refusal(checker, f"{first}.{encoded(claims)}.{encoded(signature)}")


@pytest.mark.parametrize(
    "part", ["[" * 5_000, '{"a":' * 2_000, '{"exp": ' + "9" * 5_000 + "}", '{"alg": NaN}', "\ud800"]
)
async def test_nested_and_huge_json(checker: TokenChecker, part: str) -> None:
    """JSON that is nested deeply or holds numbers of thousands of digits is refused like any other."""
    text = part.encode("utf-8", "surrogatepass")
    for header in (text, b'{"alg": "RS256", "kid": "k1"}'):
        await refusal(checker, f"{encoded(header)}.{encoded(text)}.AAAA")


ABSENT = "absent"
"""Stands for a claim that the token does not have."""
TIMES = ("exp", "nbf", "iat")
STRANGE: list[object] = [ABSENT, None, "", "9999999999", True, [], {}, 1e400, -1e400, 10**400, float("nan"), 2.0**60]
"""Values that are no time, and no claim at all."""
SECONDS = [-86_400, -120, -70, -50, 0, 50, 70, 120, 86_400]
"""Times from now. None is so close to the leeway of 60 that a slow test would decide."""
VALUES: dict[str, list[object]] = {
    "iss": [f"{URL}/", URL.upper(), "https://evil.test", "", [URL], 1, None, ABSENT],
    "aud": [
        [AUDIENCE],
        ["a", AUDIENCE],
        "a",
        ["a"],
        [],
        "",
        "chatty",
        "ch",
        {AUDIENCE: 1},
        [AUDIENCE, 1],
        None,
        ABSENT,
    ],
    "sub": ["a", " ", "auth0|123", "x" * 512, "x" * 513, "", 1, [], {}, True, None, ABSENT],
    **{name: [*STRANGE, *SECONDS] for name in TIMES},
}
"""For each claim the values that are tried. A time counts from now."""


def changed_claims(issuer: OpenIdIssuer, changes: Mapping[str, object]) -> dict[str, object]:
    """The claims of a good token with these changes."""
    claims = issuer.claims() | dict(changes)
    for name, value in changes.items():
        if name in TIMES and type(value) is int and value in SECONDS:
            claims[name] = int(time.time()) + value
    return {name: value for name, value in claims.items() if value != ABSENT}


def is_valid(claims: Mapping[str, object], now: float) -> bool:
    """The rule in plain words: right issuer, right audience, not expired, already valid, a subject."""
    audience, subject = claims.get("aud"), claims.get("sub")
    audiences = audience if isinstance(audience, list) else [audience]

    def is_time(name: str, accepts: Callable[[float], bool]) -> bool:
        value = claims.get(name)
        if name not in claims:
            return name != "exp"
        return isinstance(value, int | float) and not isinstance(value, bool) and accepts(value)

    return (
        claims.get("iss") == URL
        and all(isinstance(it, str) for it in audiences)
        and AUDIENCE in audiences
        and isinstance(subject, str)
        and 0 < len(subject) <= MAX_SUBJECT_CHARS
        and is_time("exp", lambda value: now - LEEWAY_SECONDS < value < 2**53)
        and is_time("nbf", lambda value: -(2**53) < value < now + LEEWAY_SECONDS)
        and is_time("iat", lambda value: -(2**53) < value < now + LEEWAY_SECONDS)
    )


async def assert_rule(changes: Mapping[str, object]) -> None:
    """A well-signed token with these changes is accepted exactly if its claims follow the rule."""
    issuer = OpenIdIssuer()
    issuer.publish("k1", "EdDSA")
    claims = changed_claims(issuer, changes)
    token = forged({"alg": "EdDSA", "kid": "k1"}, claims, signer("EdDSA"))
    if is_valid(claims, time.time()):
        assert (await checker_of(issuer).user(token)).name == claims["sub"]
    else:
        await refusal(checker_of(issuer), token)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALUES.items() for value in values])
async def test_one_claim(name: str, value: object) -> None:
    """Each value of each claim decides alone, with the other claims good."""
    await assert_rule({name: value})


@shared_fixtures
@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}))
async def test_claims(changes: dict[str, object]) -> None:
    """Any values together follow the same rule."""
    await assert_rule(changes)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"nbf": 2**40}, "not valid yet"),
        ({"iat": 2**40}, "not valid yet"),
        ({"aud": "other"}, "another audience"),
        ({"aud": None}, "lacks a claim"),
        ({"exp": None}, "lacks a claim"),
        ({"iss": "https://evil.test"}, "another issuer"),
    ],
)
async def test_reason_of_a_refusal(
    checker: TokenChecker, issuer: OpenIdIssuer, claims: dict[str, Any], reason: str
) -> None:
    """The response says what is wrong with the token, and nothing of what it holds."""
    detail = await refusal(checker, issuer.token(**claims))
    assert reason in detail
    assert "evil" not in detail


@pytest.mark.parametrize(
    ("claims", "is_accepted"),
    [
        ({"email": "ada@example.com", "email_verified": True}, True),
        ({"email": "ada@example.com", "email_verified": False}, False),
        ({"email": "ada@example.com", "email_verified": "true"}, False),
        ({"email": "ada@example.com"}, False),
    ],
)
async def test_email_must_be_verified(issuer: OpenIdIssuer, claims: dict[str, Any], *, is_accepted: bool) -> None:
    """An e-mail address names the user only if the issuer has verified it: anybody can type one."""
    checker = checker_of(issuer, user_claim="email")
    if is_accepted:
        assert (await checker.user(issuer.token(**claims))).name == "ada@example.com"
    else:
        assert "verified" in await refusal(checker, issuer.token(**claims))


async def test_several_audiences_are_accepted(issuer: OpenIdIssuer) -> None:
    """OIDC_AUDIENCE may list several: a token for one of them is accepted."""
    checker = checker_of(issuer, audiences=("web", "phone"))
    await checker.user(issuer.token(aud="phone"))
    await refusal(checker, issuer.token(aud="other"))


async def test_expired_token_is_refused_though_it_was_checked(
    issuer: OpenIdIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is remembered as valid is checked again once it expires, not earlier."""
    clock = Clock(time.time())
    checker = checker_of(issuer, clock=clock)
    token = issuer.token(exp=int(clock.now) + 300)
    await checker.user(token)

    def expired(*_arguments: object, **_options: object) -> None:
        raise jwt.ExpiredSignatureError

    monkeypatch.setattr(jwt, "decode", expired)
    clock.passed = 300 + LEEWAY_SECONDS - 2
    await checker.user(token)
    clock.passed += 3
    assert "expired" in await refusal(checker, token)


async def test_checked_token_is_refused_once_its_key_is_withdrawn(
    issuer: OpenIdIssuer, checker: TokenChecker, clock: Clock
) -> None:
    """A token that is remembered is checked again with new keys."""
    issuer.publish("k2")
    token = issuer.token("k1")
    await checker.user(token)
    del issuer.keys[0]
    clock.passed += REFRESH_SECONDS
    await checker.user(issuer.token("k2"))
    await settled()
    await refusal(checker, token)


@pytest.mark.parametrize("kid", [None, "1"])
async def test_key_that_changed_under_its_id_is_found(
    issuer: OpenIdIssuer, checker: TokenChecker, kid: str | None
) -> None:
    """An issuer may rotate its only key without naming it, or under the same id: the next token is accepted at once."""
    issuer.keys.clear()
    issuer.publish(kid, name="old")
    await checker.user(issuer.token(kid, key="old"))
    issuer.keys.clear()
    issuer.publish(kid, name="new")
    assert (await checker.user(issuer.token(kid, key="new"))).user_id.startswith("ada")
    assert issuer.fetched["keys"] == 2


async def test_wrong_signatures_cause_one_fetch_a_minute(
    issuer: OpenIdIssuer, checker: TokenChecker, clock: Clock
) -> None:
    """A thousand tokens with wrong signatures cause one fetch and get 401, also while the issuer is down."""
    await checker.user(issuer.token())
    forged = [issuer.token(key="forger", sub=f"ada-{number}") for number in range(3)] * 333
    for fetches in (2, 2):
        await asyncio.gather(*(refusal(checker, token) for token in forged))
        assert issuer.fetched["keys"] == fetches
    clock.passed += UNKNOWN_KEY_SECONDS
    issuer.raw_keys = b"down"
    assert "signature" in await refusal(checker, forged[0])
    assert issuer.fetched["keys"] == 3


async def test_number_of_remembered_tokens_is_bounded(
    issuer: OpenIdIssuer, checker: TokenChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token that was used longest ago is forgotten first, and checked again when it comes."""
    checks: list[str] = []
    decode = jwt.decode

    def counted(token: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        checks.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    monkeypatch.setattr("identity.tokens.KEPT_TOKENS", 2)
    one, two, three = (issuer.token(sub=name) for name in ("one", "two", "three"))
    for token in (one, two, one, three, one, two):
        await checker.user(token)
    assert checks == [one, two, three, two]


async def test_tokens_with_equal_beginnings_are_not_confused(issuer: OpenIdIssuer, checker: TokenChecker) -> None:
    """What is remembered of a token says nothing about a token with another signature or other claims."""
    ada, bob = issuer.token(sub="ada"), issuer.token(sub="bob")
    assert (await checker.user(ada)).name == "ada"
    assert (await checker.user(bob)).name == "bob"
    await refusal(checker, f"{bob.rpartition('.')[0]}.{ada.rpartition('.')[2]}")


async def test_nothing_of_a_token_is_logged(
    checker: TokenChecker, issuer: OpenIdIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Good or bad, no part of a token reaches the log."""
    tokens = [issuer.token(), issuer.token(exp=1), issuer.token("k2", key="mallory"), issuer.token(sub=["ada"])]
    with caplog.at_level(logging.DEBUG):
        await checker.user(tokens[0])
        for token in tokens[1:]:
            await refusal(checker, token)
    for part in {part for token in tokens for part in token.split(".")} | {"ada"}:
        assert part not in caplog.text


GOOD = "eyJhbGciOiJub25lIn0.e30.x"


@pytest.mark.parametrize("value", [f"Bearer {GOOD}", f"bearer {GOOD}", f"BEARER   {GOOD}"])
def test_bearer_token_is_found(value: str) -> None:
    """The word Bearer in any case, and the token."""
    assert bearer_token(authorization(value)) == GOOD


@pytest.mark.parametrize("values", [[], ["Basic YWRhOnNlY3JldA=="], [""], ["Negotiate x"], [GOOD]])
def test_request_without_a_token(values: list[str]) -> None:
    """Without a bearer token the challenge has no error word, as RFC 6750 asks."""
    with pytest.raises(TokenMissing) as caught:
        bearer_token(authorization(*values))
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(
    "values",
    [
        [f"Bearer {GOOD}", f"Bearer {GOOD}"],
        ["Basic YWRhOnNlY3JldA==", f"Bearer {GOOD}"],
        [f"Bearer {GOOD}, Bearer {GOOD}"],
        [f"Bearer {GOOD} {GOOD}"],
        ["Bearer"],
        ["Bearer "],
        ["Bearerish"],
        ["Bearer \xe9"],
        [f"Bearer {'x' * 100_000}"],
        [f"Bearer {'x' * MAX_TOKEN_CHARS}"],
    ],
    ids=lambda values: repr(values)[:40],
)
def test_malformed_authorization(values: list[str]) -> None:
    """Two headers, two tokens, none, other characters, or too many."""
    with pytest.raises(AuthorizationMalformed) as caught:
        bearer_token(authorization(*values))
    assert caught.value.status == 401
    assert 'error="invalid_request"' in caught.value.headers["WWW-Authenticate"]


def checker_of(
    issuer: OpenIdIssuer,
    *,
    audiences: tuple[str, ...] = (AUDIENCE,),
    user_claim: str = "sub",
    clock: Callable[[], float] = time.time,
) -> TokenChecker:
    """A checker with keys of its own, for tests that need a new one for each example."""
    trusted = TrustedIssuer(URL, audiences, user_claim=user_claim)
    http = open_issuer_http(trusted, httpx.MockTransport(issuer.handle))
    return TokenChecker(trusted, IssuerKeys(IssuerDocuments(trusted, http).key_set), clock)


@pytest.mark.parametrize("is_known", [True, False])
async def test_withdrawn_key_is_refused_after_a_quiet_hour(
    checker: TokenChecker, issuer: OpenIdIssuer, clock: Clock, *, is_known: bool
) -> None:
    """Keys that nobody has refreshed for long are replaced before a token is checked, however slow that is."""
    known = issuer.token()
    await checker.user(known)
    issuer.keys.clear()
    issuer.publish("k2")
    clock.passed += 6 * REFRESH_SECONDS
    issuer.gate.clear()
    check = asyncio.create_task(checker.user(known if is_known else issuer.token(sub="forged")))
    await settled()
    assert not check.done()
    issuer.gate.set()
    with pytest.raises(InvalidToken):
        await check


async def test_nobody_waits_for_an_issuer_that_is_down(
    checker: TokenChecker, issuer: OpenIdIssuer, clock: Clock
) -> None:
    """After one attempt has failed the known keys are used at once."""
    await checker.user(issuer.token())

    async def down(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    issuer.answer = down
    clock.passed += 6 * REFRESH_SECONDS
    await checker.user(issuer.token(sub="bob"))
    issuer.answer = None
    issuer.gate.clear()
    clock.passed += REFRESH_SECONDS
    await asyncio.wait_for(checker.user(issuer.token(sub="carol")), 1)
    issuer.gate.set()
