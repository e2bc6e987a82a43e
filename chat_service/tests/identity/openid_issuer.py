"""An OpenID issuer for the tests: it has keys of every accepted kind, signs tokens, and counts what is fetched."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import cache

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

URL = "https://issuer.test/realms/one"
AUDIENCE = "chat"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Jwk = dict[str, object]

CURVES: Mapping[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@cache
def private_key(name: str, algorithm: str, rsa_bits: int = 2_048) -> PrivateKey:
    """The key with this name, for the algorithm. RSA keys take long to generate, so each is kept."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65_537, rsa_bits)


def public_jwk(key: PrivateKey, kid: str | None, **members: object) -> Jwk:
    """The public half of the key as a JSON Web Key."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk: Jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    jwk = {name: value for name, value in jwk.items() if name != "key_ops"}
    return {**jwk, **({} if kid is None else {"kid": kid}), "use": "sig", **members}


class OpenIdIssuer:
    """Serves discovery and keys over an httpx transport. Each of its answers can be replaced."""

    def __init__(self, url: str = URL) -> None:
        self.url = url
        self.discovery: Jwk = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.keys: list[Jwk] = []
        self.raw_keys: bytes | None = None
        """Served instead of the keys."""
        self.fetched: Counter[str] = Counter()
        """Number of requests, by the last part of their path."""
        self.requested_urls: list[str] = []
        self.answer: Callable[[httpx.Request], Awaitable[httpx.Response]] | None = None
        """Replaces every answer."""
        self.gate = asyncio.Event()
        """Answers wait for it."""
        self.gate.set()

    def publish(self, kid: str | None, algorithm: str = "RS256", name: str | None = None, **members: object) -> None:
        """Add the public half of a key to the key set."""
        self.keys.append(public_jwk(private_key(name or str(kid), algorithm), kid, **members))

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requested_urls.append(str(request.url))
        self.fetched[request.url.path.rpartition("/")[2]] += 1
        await self.gate.wait()
        if self.answer is not None:
            return await self.answer(request)
        if request.url.path.endswith("/.well-known/openid-configuration"):
            return httpx.Response(200, json=self.discovery)
        if request.url.path.endswith("/keys"):
            return httpx.Response(200, content=self.raw_keys or json.dumps({"keys": self.keys}).encode())
        return httpx.Response(404)

    def claims(self, **changes: object) -> dict[str, object]:
        """The claims of a good token with some changed; None removes a claim."""
        now = int(time.time())
        good: dict[str, object] = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(
        self,
        kid: str | None = "k1",
        algorithm: str = "RS256",
        *,
        headers: Mapping[str, object] | None = None,
        key: str | None = None,
        **claims: object,
    ) -> str:
        """A token signed with the key `key`, or else with the one that `kid` names."""
        header = {**({} if kid is None else {"kid": kid}), **(headers or {})}
        signer = private_key(key or str(kid), algorithm)
        return jwt.encode(self.claims(**claims), signer, algorithm, headers=header)


def authorization(*values: str) -> list[tuple[bytes, bytes]]:
    """The headers of a request, as the server gives them."""
    return [(b"host", b"chat.test"), *((b"authorization", value.encode("latin-1")) for value in values)]
