"""How values are encoded: as JSON in the spelling of Redis or of the other stores, or as text by Dapr's encryption.

Objects are written with sorted keys, as all stores but Redis do. Dapr's order on Redis is random.
"""

import json
import re
from abc import ABC, abstractmethod
from decimal import Decimal
from typing import NoReturn

from local_sidecar.documents import Json

REDIS_DECIMALS_UP_TO = 0x4FFFFFF
"""Numbers up to this size keep six decimals on Redis. Larger ones keep all digits."""
EXPONENT_FROM = 1e21
"""Numbers of this size or more are written with an exponent in JSON."""
EXPONENT_BELOW = 1e-6
"""Numbers below this size are written with an exponent in the JSON of all stores but Redis."""
PLAIN_EXPONENTS = range(-4, 6)
"""Decimal exponents of the numbers that Go's `%v` prints without an exponent."""

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False)
_ESCAPE = re.compile(r"\\(.)")
_LONG_ESCAPES = {"b": r"\u0008", "f": r"\u000c"}
_UNSAFE_IN_HTML = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")
_STRING_OR_BLANK = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')


class OddNumber(float):
    """A number whose text in the store is not the one that Python would write."""


class Encoding(ABC):
    """How one kind of store writes values."""

    @abstractmethod
    def number(self, number: float) -> str:
        """The text of a number."""

    @abstractmethod
    def write(self, value: Json, plain: bool) -> bytes:
        """The text of a value. `plain`: it holds no OddNumber."""

    @abstractmethod
    def embed(self, text: bytes) -> bytes:
        """A stored text as a part of a larger JSON text. Raises ValueError when it is not JSON."""


class _JsonEncoding(Encoding):
    def write(self, value: Json, plain: bool) -> bytes:
        return self._escaped(_COMPACT.encode(value) if plain else self._spelled(value))

    def embed(self, text: bytes) -> bytes:
        return _html_safe(text)

    @abstractmethod
    def _escaped(self, text: str) -> bytes:
        """The JSON text with the store's own escapes."""

    def _spelled(self, value: Json) -> str:
        if isinstance(value, dict):
            members = (f"{_COMPACT.encode(name)}:{self._spelled(value[name])}" for name in sorted(value))
            return "{" + ",".join(members) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(self._spelled, value)) + "]"
        return self.number(value) if isinstance(value, OddNumber) else _COMPACT.encode(value)


class _RedisJson(_JsonEncoding):
    """The JSON of the Go package json-iterator in its fastest configuration, which Dapr uses for Redis."""

    def number(self, number: float) -> str:
        size = abs(number)
        if size > REDIS_DECIMALS_UP_TO:
            return _signed(number, _digits(size) if size < EXPONENT_FROM else repr(size))
        whole, millionths = divmod(int(size * 1_000_000 + 0.5), 1_000_000)
        return _signed(number, f"{whole}.{millionths:06d}".rstrip("0").rstrip("."))

    def _escaped(self, text: str) -> bytes:
        if "\\" in text and ("\\b" in text or "\\f" in text):
            text = _ESCAPE.sub(lambda escape: _LONG_ESCAPES.get(escape[1], escape[0]), text)
        return text.encode()


class _GoJson(_JsonEncoding):
    """The JSON of Go's package encoding/json, which Dapr uses for all other stores."""

    def number(self, number: float) -> str:
        size = abs(number)
        if size and not EXPONENT_BELOW <= size < EXPONENT_FROM:
            return repr(number).replace("e-0", "e-")
        return "-0" if repr(number) == "-0.0" else _signed(number, _digits(size))

    def _escaped(self, text: str) -> bytes:
        return _html_safe(text.encode())


class _GoPrint(Encoding):
    """The text of Go's `fmt.Sprintf("%v", value)`, to which Dapr's encryption turns values before it encrypts them.

    A string stays as it is. An object becomes `map[name:Ann]`, which no client can read.
    """

    def number(self, number: float) -> str:
        decimal = Decimal(repr(abs(number))).normalize()
        exponent = decimal.adjusted()
        if not number or exponent in PLAIN_EXPONENTS:
            return ("-" if repr(number).startswith("-") else "") + _digits(abs(number))
        first, *others = map(str, decimal.as_tuple().digits)
        return _signed(number, f"{'.'.join(filter(None, (first, ''.join(others))))}e{exponent:+03d}")

    def write(self, value: Json, plain: bool) -> bytes:
        return self._printed(value).encode()

    def embed(self, text: bytes) -> bytes:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
        return _html_safe(_STRING_OR_BLANK.sub(lambda found: found[1] or b"", text))

    def _printed(self, value: Json) -> str:
        if isinstance(value, dict):
            return "map[" + " ".join(f"{name}:{self._printed(value[name])}" for name in sorted(value)) + "]"
        if isinstance(value, list):
            return "[" + " ".join(map(self._printed, value)) + "]"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return self.number(float(value))
        return "<nil>" if value is None else value


REDIS_JSON = _RedisJson()
GO_JSON = _GoJson()
GO_PRINT = _GoPrint()


def _signed(number: float, text: str) -> str:
    return f"-{text}" if number < 0 else text


def _digits(size: float) -> str:
    """All digits of a number, without an exponent."""
    return format(Decimal(repr(size)), "f").removesuffix(".0")


def _html_safe(text: bytes) -> bytes:
    """JSON with `<`, `>`, `&` and the two line separators escaped, as Go's encoding/json writes it."""
    return _UNSAFE_IN_HTML.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character in {name}")
