"""The public keys of an issuer's JSON Web Key Set, and the algorithms that each may be used with.

https://www.rfc-editor.org/rfc/rfc7517
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError
from pydantic_core import from_json

MIN_RSA_BITS = 2_048
"""Shortest RSA key in bits. RFC 7518 requires it for every RSA algorithm."""
MAX_RSA_BITS = 8_192
"""Longest RSA key in bits. A longer one makes each check slow and protects no better in practice."""
KEPT_KEYS = 256
"""Number of keys that are kept ready to use. An issuer has a handful; the others are prepared again when needed."""

JsonObject = Mapping[str, object]


class KeyKind(NamedTuple):
    """A key's type and curve; RSA has no curve."""

    kty: str
    crv: str | None = None


ALGORITHMS: Mapping[str, KeyKind] = {
    "RS256": KeyKind("RSA"),
    "RS384": KeyKind("RSA"),
    "RS512": KeyKind("RSA"),
    "PS256": KeyKind("RSA"),
    "PS384": KeyKind("RSA"),
    "PS512": KeyKind("RSA"),
    "ES256": KeyKind("EC", "P-256"),
    "ES384": KeyKind("EC", "P-384"),
    "ES512": KeyKind("EC", "P-521"),
    "EdDSA": KeyKind("OKP", "Ed25519"),
}
"""The accepted signature algorithms and the only kind of key that each works with. All are asymmetric."""

_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")
"""The members of a public key. Others, such as a private `d`, are never read."""


class InvalidKeySet(ValueError):
    """The document is not a JSON Web Key Set with at least one signature key."""


class KeySet:
    """The signature keys of one document. A key is prepared when a token first names it."""

    def __init__(self, keys: Sequence[JsonObject]) -> None:
        self._keys = [key for key in keys if _is_signature_key(key)]
        self._by_id: dict[str, list[JsonObject]] = {}
        for key in self._keys:
            if isinstance(kid := key.get("kid"), str):
                self._by_id.setdefault(kid, []).append(key)
        self._prepared = lru_cache(KEPT_KEYS)(self._prepare)

    @classmethod
    def parse(cls, document: bytes) -> "KeySet":
        """The keys in the document. Raises InvalidKeySet."""
        try:
            body: object = from_json(document)
        except ValueError:
            raise InvalidKeySet("the key set is not JSON") from None
        keys = body.get("keys") if isinstance(body, dict) else None
        if not isinstance(keys, list):
            raise InvalidKeySet("the key set has no list of keys")
        found = cls([key for key in keys if isinstance(key, dict)])
        if not len(found):
            raise InvalidKeySet("the key set has no signature key of an accepted kind")
        return found

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key with this id, if it may be used with the algorithm. A token needs no id if there is only one key."""
        if kid is None:
            return self._prepared(None, algorithm) if len(self._keys) == 1 else None
        return self._prepared(kid, algorithm) if kid in self._by_id else None

    def _prepare(self, kid: str | None, algorithm: str) -> PyJWK | None:
        candidates = self._keys if kid is None else self._by_id[kid]
        return next(_prepared(candidates, algorithm), None)


def _kind(key: JsonObject) -> KeyKind:
    kty = str(key.get("kty"))
    return KeyKind(kty) if kty == "RSA" else KeyKind(kty, str(key.get("crv")))


def _is_signature_key(key: JsonObject) -> bool:
    """Whether the key is of an accepted kind and not meant for something else than signatures."""
    operations = key.get("key_ops", ["verify"])
    return (
        _kind(key) in ALGORITHMS.values()
        and key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _prepared(keys: Sequence[JsonObject], algorithm: str) -> Iterator[PyJWK]:
    """The keys that may be used with the algorithm."""
    for key in keys:
        is_fit = _kind(key) == ALGORITHMS[algorithm] and key.get("alg", algorithm) == algorithm
        if is_fit and (prepared := _public_key(key, algorithm)):
            yield prepared


def _public_key(key: JsonObject, algorithm: str) -> PyJWK | None:
    """The key for the algorithm; None if it cannot be read or is an RSA key of a length that is not accepted."""
    members = {name: key[name] for name in _PUBLIC_MEMBERS if isinstance(key.get(name), str)}
    try:
        prepared = PyJWK(members, algorithm)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, KeyError):
        return None
    public = prepared.key
    if isinstance(public, RSAPublicKey) and not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        return None
    return prepared
