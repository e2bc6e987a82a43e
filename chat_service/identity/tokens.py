"""Checks the token of a request. No part of a token is logged or repeated in a response.

https://www.rfc-editor.org/rfc/rfc8725 (JSON Web Token Best Current Practices)
"""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, TypeGuard

import jwt
from jwt.utils import base64url_decode
from pydantic_core import from_json

from identity.errors import AuthorizationMalformed, InvalidToken, TokenMissing, WrongSignature
from identity.issuer_keys import IssuerKeys
from identity.signing_keys import ALGORITHMS
from identity.trusted_issuer import TrustedIssuer
from identity.user_ids import user_of
from identity.users import User

MAX_TOKEN_CHARS = 16 * 1024
"""Longest token, in characters. Microsoft's with 200 groups have 13,000; checking this many takes milliseconds."""
LEEWAY_SECONDS = 60
"""Seconds by which the clocks of issuer and service may differ."""
MAX_SUBJECT_CHARS = 512
"""Longest subject, in characters. OpenID Connect allows 255."""
MAX_TIME_SECONDS = 2**53
"""Latest time in a token, in seconds since 1970. Larger numbers, infinity and NaN are not times."""
KEPT_TOKENS = 4_096
"""Number of checked tokens that are remembered. A token is usually sent many times, and a check takes long."""
TOKEN_TYPES = frozenset({"jwt", "at+jwt"})
"""The accepted `typ`: a plain JWT and an access token. A logout token or another kind is not a proof of identity."""

_BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
"""The syntax of RFC 6750, section 2.1. Whether the token is a JWT is checked later."""
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired: get a new one from the issuer."),
    (jwt.ImmatureSignatureError, "The token is not valid yet: wait, or check the clocks of issuer and service."),
    (jwt.InvalidAudienceError, "The token is for another audience: request one for this service."),
    (jwt.InvalidIssuerError, "The token is of another issuer: get one from the issuer of this service."),
    (jwt.MissingRequiredClaimError, "The token lacks a claim that this service needs: see docs/identity.md."),
)


class Header(NamedTuple):
    """The parts of a token's header that select its key."""

    algorithm: str
    kid: str | None


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """The user of a token, and until when the token is valid, in seconds since 1970."""

    user: User
    expires_at: float


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The token of a request with these headers, which have lower-case names.

    Raises TokenMissing and AuthorizationMalformed.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise TokenMissing
    if len(values) > 1:
        raise AuthorizationMalformed
    if values[0][:6].lower() != b"bearer":
        raise TokenMissing
    if len(values[0]) > MAX_TOKEN_CHARS:
        raise AuthorizationMalformed(f"The token is longer than {MAX_TOKEN_CHARS} characters: request a shorter one.")
    found = _BEARER.fullmatch(values[0])
    if found is None:
        raise AuthorizationMalformed
    return found[1].decode()


class TokenChecker:
    """Checks tokens of one issuer."""

    def __init__(self, issuer: TrustedIssuer, keys: IssuerKeys, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._checked: OrderedDict[bytes, CheckedToken] = OrderedDict()
        self._generation = keys.generation

    async def user(self, token: str) -> User:
        """The user that the token names. Raises InvalidToken and IssuerUnavailable."""
        self._keys.refresh_if_old()
        await self._keys.wait_if_outdated()
        self._forget_if_keys_changed()
        digest = sha256(token.encode()).digest()
        known = self._checked.get(digest)
        if known is not None and self._clock() < known.expires_at:
            self._checked.move_to_end(digest)
            return known.user
        checked = await self._check(token)
        self._forget_if_keys_changed()
        self._checked[digest] = checked
        if len(self._checked) > KEPT_TOKENS:
            self._checked.popitem(last=False)
        return checked.user

    async def _check(self, token: str) -> CheckedToken:
        header = read_header(token)
        try:
            claims = await self._claims(token, header)
        except WrongSignature:  # an issuer may change a key without an id, or under the same one
            if not await self._keys.have_changed():
                raise
            claims = await self._claims(token, header)
        expires_at = _check_times(claims)
        return CheckedToken(_user(claims, self._issuer), expires_at + LEEWAY_SECONDS)

    async def _claims(self, token: str, header: Header) -> Mapping[str, object]:
        key = await self._keys.find(header.kid, header.algorithm)
        return _verified_claims(token, key, header.algorithm, self._issuer)

    def _forget_if_keys_changed(self) -> None:
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._checked.clear()


def read_header(token: str) -> Header:
    """The header, not yet verified. `jku`, `x5u`, `jwk` and `x5c` are ignored: only the issuer's own keys count."""
    try:
        header: object = from_json(base64url_decode(token.partition(".")[0]))
    except ValueError:
        raise InvalidToken from None
    if not isinstance(header, dict) or "crit" in header:
        raise InvalidToken
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidToken(f"The token must be signed with one of {', '.join(ALGORITHMS)}.")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TOKEN_TYPES:
        raise InvalidToken
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken
    return Header(algorithm, kid)


def _verified_claims(token: str, key: jwt.PyJWK, algorithm: str, issuer: TrustedIssuer) -> Mapping[str, object]:
    """The claims of a token whose signature, issuer, audience and times are right.

    Raises WrongSignature, and InvalidToken for anything else.
    """
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=issuer.audiences,
            issuer=issuer.url,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "exp", issuer.user_claim]},
        )
    except jwt.InvalidSignatureError:
        raise WrongSignature from None
    except jwt.PyJWTError as error:
        reason = next((text for kind, text in _REASONS if isinstance(error, kind)), None)
        raise InvalidToken(reason) from None


def _check_times(claims: Mapping[str, object]) -> float:
    """The token's `exp`. PyJWT also accepts numbers written as text and booleans; RFC 7519 does not."""
    times = [claims[name] for name in ("exp", "nbf", "iat") if name in claims]
    numbers = [float(time) for time in times if _is_number(time) and abs(time) <= MAX_TIME_SECONDS]
    if len(numbers) < len(times):
        raise InvalidToken
    return numbers[0]


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _user(claims: Mapping[str, object], issuer: TrustedIssuer) -> User:
    subject = claims[issuer.user_claim]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
        raise InvalidToken(f"The token's {issuer.user_claim} is not a text of 1 to {MAX_SUBJECT_CHARS} characters.")
    if issuer.user_claim == "email" and claims.get("email_verified") is not True:
        raise InvalidToken("The issuer has not verified the e-mail address in the token.")
    try:
        return user_of(issuer, subject)
    except UnicodeEncodeError:
        raise InvalidToken from None
