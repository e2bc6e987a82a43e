"""JSON texts decoded as Dapr decodes them: numbers are 64-bit floats, and text after the first value is ignored."""

import json
import math
import re
from typing import NoReturn

from local_sidecar.documents import Json
from local_sidecar.state.encodings import Encoding, OddNumber

EXACT_DIGITS = 15
"""Integers with so many digits are exact as 64-bit floats."""
BLANK = " \t\r\n"

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF_PAIR = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


class Document:
    """The first value of a JSON text. `written` encodes it, or a part of it, as the store keeps it.

    Raises ValueError when the text has no valid value, and RecursionError when the value is nested too deeply.
    """

    def __init__(self, text: str, encoding: Encoding) -> None:
        self._encoding = encoding
        self._plain = True
        decoder = json.JSONDecoder(
            parse_float=self._number, parse_int=self._whole_number, parse_constant=_refuse_constant
        )
        text = _with_whole_characters(text)
        start = len(text) - len(text.lstrip(BLANK))
        value: Json = decoder.raw_decode(text, start)[0]
        self.value = value

    def written(self, value: Json) -> bytes:
        """A value of this document as the store keeps it."""
        return self._encoding.write(value, self._plain)

    def _whole_number(self, digits: str) -> int | float:
        return int(digits) if len(digits) <= EXACT_DIGITS and digits != "-0" else self._number(digits)

    def _number(self, digits: str) -> int | float:
        number = float(digits)
        if math.isinf(number):
            raise ValueError(f"number {digits} out of range")
        text = self._encoding.number(number)
        if text.lstrip("-").isdigit() and text != "-0":
            return int(text)
        if repr(float(text)) == text:
            return float(text)
        self._plain = False
        return OddNumber(number)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character in {name}")


def _with_whole_characters(text: str) -> str:
    """The text with each escaped half of a surrogate pair replaced, as half a pair cannot be encoded."""
    if "\\" not in text or not _SURROGATE.search(text):
        return text
    return _HALF_PAIR.sub(lambda found: found[1] or "\\ufffd", text)
