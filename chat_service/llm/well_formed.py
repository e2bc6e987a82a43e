"""Makes text well-formed: valid Unicode without lone surrogates, which neither UTF-8 nor JSON libraries can write.

An endpoint that cuts a reply by UTF-16 code unit sends the two halves of an emoji in two pieces, or one half only.
"""

import codecs
import re

from llm.json_values import Json

_ENCODING = "utf-16-le"
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def may_hold_surrogates(json_text: str) -> bool:
    """Whether this JSON text holds escapes of surrogates, paired or alone. Most texts hold none and need no repair."""
    return _ESCAPED_SURROGATE.search(json_text) is not None


def well_formed(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD."""
    if _SURROGATE.search(text) is None:
        return text
    return _as_code_units(text).decode(_ENCODING, "replace")


def all_well_formed(value: Json) -> Json:
    """The value with every text in it well-formed, keys too."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [all_well_formed(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): all_well_formed(item) for key, item in value.items()}
    return value


class PiecewiseText:
    """Makes a text well-formed that arrives in pieces: joins a character that was cut in two between pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder(_ENCODING)("replace")

    @property
    def is_waiting(self) -> bool:
        """Whether half a character waits for its other half."""
        return bool(self._decoder.getstate()[0])

    def add(self, piece: str) -> str:
        """The piece, after the half that waits and without a half at its own end."""
        if not self.is_waiting and _SURROGATE.search(piece) is None:
            return piece
        return self._decoder.decode(_as_code_units(piece))

    def end(self) -> str:
        """What stands for a half that still waits: U+FFFD, or nothing."""
        return self._decoder.decode(b"", True)


def _as_code_units(text: str) -> bytes:
    return text.encode(_ENCODING, "surrogatepass")
