"""How values are written by the stores other than Redis, and by Dapr's encryption (as Dapr 1.18 wrote them)."""

import json

import pytest

from local_sidecar.state.encodings import GO_JSON, GO_PRINT, REDIS_JSON, Encoding
from local_sidecar.state.json_values import Document

NUMBERS = "[1.0,-0.0,0.1234567891,1e5,1e-7,0.00001,1e20,1e21,9007199254740993,12345678901234567890,1000000,123456789]"


def written(text: str, encoding: Encoding) -> str:
    """A JSON text as it comes back."""
    document = Document(text, encoding)
    return document.written(document.value).decode()


def test_numbers_of_the_sql_stores_are_exact() -> None:
    """Numbers come back with all digits of a 64-bit float."""
    kept = "[1,-0,0.1234567891,100000,1e-7,0.00001,100000000000000000000,1e+21,9007199254740992,12345678901234567000"
    assert written(NUMBERS, GO_JSON) == f"{kept},1000000,123456789]"


def test_numbers_are_printed_by_encryption() -> None:
    """Numbers of a million and more, and small ones, come back with an exponent."""
    kept = "[1 -0 0.1234567891 100000 1e-07 1e-05 1e+20 1e+21 9.007199254740992e+15 1.2345678901234567e+19"
    assert written(NUMBERS, GO_PRINT) == f"{kept} 1e+06 1.23456789e+08]"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('{"name":"Ann","n":1}', "map[n:1 name:Ann]"),
        ('{"b":[1,{"c":null}],"a":"x"}', "map[a:x b:[1 map[c:<nil>]]]"),
        ('[true,false,"s p"]', "[true false s p]"),
        (r'"{\"a\": 1}"', '{"a": 1}'),
        ('""', ""),
    ],
)
def test_encryption_turns_values_into_text(value: str, kept: str) -> None:
    """An object comes back as Go prints a map, and a string as its bare text."""
    assert written(value, GO_PRINT) == kept


def test_text_of_the_sql_stores_is_safe_in_html() -> None:
    """The SQL stores escape what a browser could take for markup. It means the same."""
    kept = written(r'{"<":"\b\f<&>\u2028é"}', GO_JSON)
    assert kept == r'{"\u003c":"\b\f\u003c\u0026\u003e\u2028é"}'
    assert json.loads(kept) == {"<": "\b\f<&>\u2028é"}


def test_bulk_reads_escape_html() -> None:
    """A value of Redis is escaped inside a bulk read only."""
    assert REDIS_JSON.embed('"<a>&\u2028é"'.encode()) == '"\\u003ca\\u003e\\u0026\\u2028é"'.encode()


def test_bulk_reads_compact_json_that_was_encrypted() -> None:
    """JSON in an encrypted string loses its blanks inside a bulk read, but those in its strings."""
    assert GO_PRINT.embed(b'{"a": 1,\n "b": ["x  y\\" "]}') == b'{"a":1,"b":["x  y\\" "]}'


@pytest.mark.parametrize("text", [b"map[a:1]", b"plain", b"{} {}", b"[NaN]", b""])
def test_bulk_reads_refuse_text_that_is_no_json(text: bytes) -> None:
    """Encrypted text that is no JSON cannot be a part of a bulk read."""
    with pytest.raises(ValueError, match=r"\S"):
        GO_PRINT.embed(text)
