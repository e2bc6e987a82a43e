"""An OpenID issuer of this machine, for stacks that check tokens: it publishes keys, signs tokens, counts fetches."""

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from harness.environment import free_ports, local_url

AUDIENCE = "chat"
"""The audience of its tokens."""

TOKEN_SECONDS = 3_600
"""How long its tokens are valid. Longer than any test or bench runs."""

JWKS_PATH, DISCOVERY_PATH = "/keys", "/.well-known/openid-configuration"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class OpenIdIssuer:
    """The issuer. It serves within `with`, in a thread; it may be stopped and started again on the same port."""

    def __init__(self) -> None:
        self._port = free_ports(1)[0]
        self.url = local_url(self._port)
        self.fetched: Counter[str] = Counter()
        """Number of requests by path."""
        self._keys: dict[str, tuple[str, PrivateKey]] = {}
        self._server: ThreadingHTTPServer | None = None
        for kid, algorithm in (("rsa", "RS256"), ("ec", "ES256"), ("ed", "EdDSA")):
            self.publish(kid, algorithm)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """The variables with which a chat service trusts it."""
        return {"OIDC_ISSUER": self.url, "OIDC_AUDIENCE": AUDIENCE}

    def publish(self, kid: str, algorithm: str = "RS256") -> None:
        """Create a key and add it to the published ones."""
        self._keys[kid] = (algorithm, _new_key(algorithm))

    def withdraw(self, kid: str) -> None:
        """Remove a key from the published ones."""
        del self._keys[kid]

    def token(self, subject: str, kid: str = "rsa", *, named: str | None = None, **claims: object) -> str:
        """Sign a token with the key `kid`. Its header names the key `named` instead, if that is given."""
        algorithm, key = self._keys[kid]
        now = int(time.time())
        payload = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + TOKEN_SECONDS, **claims}
        return jwt.encode(payload, key, algorithm, headers={"kid": named or kid})

    def headers(self, subject: str, kid: str = "rsa") -> dict[str, str]:
        """The headers of a request of this person."""
        return {"Authorization": f"Bearer {self.token(subject, kid)}"}

    def start(self) -> None:
        """Serve, until `stop`."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched[self.path] += 1
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def document(self, path: str) -> Mapping[str, object]:
        """The document at this path."""
        if path == DISCOVERY_PATH:
            return {"issuer": self.url, "jwks_uri": f"{self.url}{JWKS_PATH}"}
        return {"keys": [_jwk(kid, algorithm, key) for kid, (algorithm, key) in list(self._keys.items())]}


def _new_key(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65_537, 2_048)


def _jwk(kid: str, algorithm: str, key: PrivateKey) -> dict[str, object]:
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    members = {name: value for name, value in jwk.items() if name != "key_ops"}
    return {**members, "kid": kid, "alg": algorithm, "use": "sig"}
