"""Finds the fact that a text means. Pure."""

import re
import unicodedata
from collections.abc import Sequence

from memory_models import Fact

SIGNS = "#%&*+-@_"
"""Signs at the ends of a word that belong to it: C, C++ and C# are three words. Other punctuation there does not."""
_BETWEEN_WORDS = re.compile(r"\s+|(?<!\d)[/\u2013\u2014]|[/\u2013\u2014](?!\d)")
"""Blanks, slashes and dashes. A date such as 1/2/1990 stays one word."""


def matching(facts: Sequence[Fact], text: str) -> list[Fact]:
    """The facts that a text may mean: the one with the same words in this order, else those that have all its words."""
    wanted = _words(text)
    same = [fact for fact in facts if _words(fact.text) == wanted]
    return same or [fact for fact in facts if wanted and set(wanted) <= set(_words(fact.text))]


def _words(text: str) -> list[str]:
    return [_bare(word) for word in _BETWEEN_WORDS.split(text.casefold().replace("\u2019", "'")) if word]


def _bare(word: str) -> str:
    """The word without punctuation at its ends. A word of punctuation alone stays as it is."""
    own = [place for place, sign in enumerate(word) if sign in SIGNS or unicodedata.category(sign)[0] != "P"]
    return word[own[0] : own[-1] + 1] if own else word
