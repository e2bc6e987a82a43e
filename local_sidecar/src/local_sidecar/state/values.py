"""JSON values as they come back from Dapr's Redis store: decoded, then written again by rules of its own.

Every number is a 64-bit float; below about 84 million it keeps six decimals. Keys lose their order; text survives.
"""

import json
import math
import re
from decimal import Decimal
from typing import NoReturn

from local_sidecar.documents import Json

SIX_DECIMALS_UP_TO = 0x4FFFFFF  # larger floats are written with all their digits
EXPONENT_FROM = 1e21
EXACT_DIGITS = 15  # an integer of so many digits is the same as a float
BLANK = " \t\r\n"

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False)
_ESCAPE = re.compile(r"\\(.)")
_LONG_ESCAPES = {"b": r"\u0008", "f": r"\u000c"}


class OddNumber(float):
    """A number whose text in the store is not the one Python would write."""


def number_text(number: float) -> str:
    """The decimal text that the store keeps of a number."""
    size = abs(number)
    if size <= SIX_DECIMALS_UP_TO:
        whole, millionths = divmod(int(size * 1_000_000 + 0.5), 1_000_000)
        text = f"{whole}.{millionths:06d}".rstrip("0").rstrip(".")
    elif size < EXPONENT_FROM:
        text = format(Decimal(repr(size)), "f").removesuffix(".0")
    else:
        text = repr(size)
    return f"-{text}" if number < 0 else text


class Document:
    """One JSON text: its first value, and how values taken from it are written again.

    What follows the first value is ignored. Raises ValueError when there is no valid value, RecursionError when it is
    nested too deeply.
    """

    def __init__(self, text: str) -> None:
        self._plain = True
        decoder = json.JSONDecoder(
            parse_float=self._number, parse_int=self._whole_number, parse_constant=_refuse_constant
        )
        text = _whole_characters(text)
        start = len(text) - len(text.lstrip(BLANK))
        value: Json = decoder.raw_decode(text, start)[0]
        self.value = value

    def written(self, value: Json) -> bytes:
        """A value of this document as the store keeps it."""
        text = _COMPACT.encode(value) if self._plain else _spelled(value)
        if "\\" in text and ("\\b" in text or "\\f" in text):
            text = _ESCAPE.sub(lambda escape: _LONG_ESCAPES.get(escape[1], escape[0]), text)
        return text.encode()

    def _whole_number(self, digits: str) -> int | float:
        return int(digits) if len(digits) <= EXACT_DIGITS else self._number(digits)

    def _number(self, digits: str) -> int | float:
        number = float(digits)
        if math.isinf(number):
            raise ValueError(f"number {digits} out of range")
        text = number_text(number)
        if text.lstrip("-").isdigit() and text != "-0":
            return int(text)
        if repr(float(text)) == text:
            return float(text)
        self._plain = False
        return OddNumber(number)


def _spelled(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_COMPACT.encode(name)}:{_spelled(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_spelled, value)) + "]"
    return number_text(value) if isinstance(value, OddNumber) else _COMPACT.encode(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character in {name}")


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF_PAIR = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _whole_characters(text: str) -> str:
    """The text with every escaped half of a surrogate pair replaced, as it cannot be stored."""
    if "\\" not in text or not _SURROGATE.search(text):
        return text
    return _HALF_PAIR.sub(lambda found: found[1] or "\\ufffd", text)


_HTML = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")


def html_safe(written: bytes) -> bytes:
    """Text of the store as Dapr puts it inside a larger JSON answer: `<`, `>`, `&` and line separators escaped."""
    return _HTML.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), written)
