"""Finds the fact that a text means. Pure."""

from collections.abc import Sequence

from memory_models import Fact

PUNCTUATION = ".,;:!?…\"'()[]“”„«»"
"""Signs at the ends of a word that do not belong to it. Others do: C, C++ and C# are three words."""


def matching(facts: Sequence[Fact], text: str) -> list[Fact]:
    """The facts that a text may mean: the one with the same words in this order, else those that have all its words."""
    wanted = _words(text)
    same = [fact for fact in facts if _words(fact.text) == wanted]
    return same or [fact for fact in facts if wanted and set(wanted) <= set(_words(fact.text))]


def _words(text: str) -> list[str]:
    return [word.strip(PUNCTUATION) or word for word in text.casefold().split()]
