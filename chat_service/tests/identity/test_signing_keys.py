"""Which keys of a key set are used, and with which algorithm."""

import json
import time
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.signing_keys import ALGORITHMS, InvalidKeySet, KeySet
from tests.identity.openid_issuer import Jwk, private_key, public_jwk

MANY_KEYS = 10_000


def key_set(*keys: Jwk) -> KeySet:
    """A key set of these keys."""
    return KeySet.parse(json.dumps({"keys": keys}).encode())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("published", ALGORITHMS)
def test_key_is_bound_to_its_kind(published: str, algorithm: str) -> None:
    """A key is found for an algorithm only if both are of the same kind and curve."""
    keys = key_set(public_jwk(private_key("k1", published), "k1"))
    assert (keys.find("k1", algorithm) is not None) == (ALGORITHMS[published] == ALGORITHMS[algorithm])


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
def test_key_is_bound_to_its_algorithm(algorithm: str) -> None:
    """A key that names its algorithm is used with no other one."""
    keys = key_set(public_jwk(private_key("k1", "RS256"), "k1", alg="RS256"))
    assert keys.find("k1", "RS256") is not None
    assert keys.find("k1", algorithm) is None


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"n": "AQAB"},
        {"n": "***"},
        {"n": 5},
        {"e": None},
        {"alg": "RSA-OAEP"},
        {"alg": ["RS256"]},
    ],
)
def test_unfit_key_is_not_used(members: Jwk) -> None:
    """A key for encryption, a broken key and a short RSA key are ignored; the others of the set are used."""
    keys = key_set(public_jwk(private_key("k1", "RS256"), "k1") | members, public_jwk(private_key("k2", "ES256"), "k2"))
    assert keys.find("k1", "RS256") is None
    assert keys.find("k2", "ES256") is not None


@pytest.mark.parametrize(("bits", "is_used"), [(1_024, False), (2_048, True), (8_192, True), (8_200, False)])
def test_length_of_rsa_keys(bits: int, *, is_used: bool) -> None:
    """RSA keys of 2,048 to 8,192 bits are used."""
    # Only the length of the modulus counts here, so it need not be a product of two primes.
    modulus = (1 << bits) - 159
    text = public_jwk(private_key("k1", "RS256"), "k1") | {"n": _base64url(modulus, bits)}
    assert (key_set(text).find("k1", "RS256") is not None) == is_used


def test_token_without_key_id() -> None:
    """A token needs no key id if the set has one key; with several it would be guessed."""
    one, two = (public_jwk(private_key(name, "RS256"), name) for name in ("k1", "k2"))
    assert key_set(one).find(None, "RS256") is not None
    assert key_set(one, two).find(None, "RS256") is None


def test_keys_with_the_same_id() -> None:
    """Keys of different kinds may share an id: the algorithm decides."""
    keys = key_set(*(public_jwk(private_key("k1", algorithm), "k1") for algorithm in ("RS256", "ES256", "EdDSA")))
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert keys.find("k1", algorithm) is not None


def test_private_half_is_never_used() -> None:
    """An issuer that publishes a private key by mistake does not put one into this process."""
    keys = key_set(public_jwk(private_key("k1", "EdDSA"), "k1", d="c2VjcmV0"))
    found = keys.find("k1", "EdDSA")
    assert found is not None
    assert not hasattr(found.key, "sign")


@pytest.mark.parametrize("kid", ['"; DROP TABLE keys', "../../etc/passwd", "https://evil.test/keys", "", "\ud800"])
def test_key_id_is_only_compared(kid: str) -> None:
    """A key id is text to compare, whatever it contains."""
    keys = key_set(public_jwk(private_key("k1", "ES256"), "k1"))
    assert keys.find(kid, "ES256") is None


def test_ten_thousand_keys() -> None:
    """A set of 10,000 keys is read in well under a second, and the last of them is found."""
    rsa = public_jwk(private_key("k1", "RS256"), None)
    document = json.dumps({"keys": [{**rsa, "kid": f"k{number}"} for number in range(MANY_KEYS)]}).encode()
    began = time.perf_counter()
    keys = KeySet.parse(document)
    assert keys.find(f"k{MANY_KEYS - 1}", "RS256") is not None
    assert keys.find(f"k{MANY_KEYS}", "RS256") is None
    assert time.perf_counter() - began < 1
    assert len(keys) == MANY_KEYS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
STRANGE_KEYS = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.sampled_from(["RSA", "EC", "OKP", "P-256", "P-521", "Ed25519", "Ed448", "AQAB", "k1", "sig"])
        for name in ("kty", "crv", "n", "e", "x", "y", "d", "kid", "use", "alg", "key_ops")
    },
)


@given(st.lists(STRANGE_KEYS | JSON, max_size=4), st.sampled_from(list(ALGORITHMS)))
def test_strange_keys_do_no_harm(strange: list[object], algorithm: str) -> None:
    """Whatever stands in a key set, it is refused as a whole or its unusable keys are not found; nothing else."""
    try:
        keys = KeySet.parse(json.dumps({"keys": strange}).encode())
    except InvalidKeySet:
        return
    for kid in ("k1", None):
        found = keys.find(kid, algorithm)
        assert found is None or found.algorithm_name == algorithm


def _base64url(number: int, bits: int) -> str:
    return urlsafe_b64encode(number.to_bytes(bits // 8, "big")).decode().rstrip("=")
