"""The facts in a user's profile document: pure functions from a document to the changed one.

A fact is a short sentence that outlives its session. The same text is there once: texts are compared without regard to
case and blanks. So a repeated request finds what it wrote before.
"""

import unicodedata
from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from typing import cast

from documents import JSON, Document
from errors import FactUnknown, TooManyFacts

FACTS = "facts"
"""The field of a profile document that has the facts, oldest first. The tutorial's code does not know it."""
MAX_FACTS = 100
"""Most facts of a user. With MAX_FACT_CHARS a profile stays small enough to be read with every turn: 40 KB of ASCII."""
FACT_ID_CHARS = 16
"""Characters of a fact's id. It is a digest, so a repeated request and another replica come to the same id."""


def facts_of(profile: Document | None) -> list[Document]:
    """Return the facts of a profile, oldest first. What another program wrote into the field and is no fact is left
    out."""
    stored = (profile or {}).get(FACTS)
    return [item for item in stored if isinstance(item, dict) and _is_fact(item)] if isinstance(stored, list) else []


def _is_fact(item: Document) -> bool:
    return all(isinstance(item.get(name), str) for name in ("fact_id", "text")) and all(
        isinstance(item.get(name), str | None) for name in ("created_at", "session_id")
    )


def with_facts(profile: Document, facts: Sequence[Document]) -> Document:
    """Return the profile with these facts. A profile without any has no such field, as the tutorial's."""
    others = {name: value for name, value in profile.items() if name != FACTS}
    return {**others, FACTS: cast(list[JSON], list(facts))} if facts else others


def one_line(text: str) -> str:
    """Return the text with single blanks and no line breaks: the form in which a fact is stored."""
    return " ".join(text.split())


def same_text(facts: Sequence[Document], text: str) -> Document | None:
    """Return the fact with this text, without regard to case and blanks."""
    return next((fact for fact in facts if _normalized(fact["text"]) == _normalized(text)), None)


def remembered(facts: Sequence[Document], text: str, created_at: str, session_id: str | None) -> list[Document]:
    """Return the facts with one more, or as they are if the text is among them. Raises TooManyFacts."""
    if same_text(facts, text) is not None:
        return list(facts)
    if len(facts) >= MAX_FACTS:
        raise TooManyFacts
    fact: Document = {
        "fact_id": _free_id(facts, text),
        "text": one_line(text),
        "created_at": created_at,
        "session_id": session_id,
    }
    return [*facts, fact]


def corrected(facts: Sequence[Document], fact_id: str, text: str) -> list[Document]:
    """Return the facts with the text of one changed. Its id stays. Another fact with the new text goes.

    Raises FactUnknown.
    """
    if all(fact["fact_id"] != fact_id for fact in facts):
        raise FactUnknown
    double = same_text(facts, text)
    kept = [fact for fact in facts if fact["fact_id"] == fact_id or fact is not double]
    return [{**fact, "text": one_line(text)} if fact["fact_id"] == fact_id else fact for fact in kept]


def forgotten(facts: Sequence[Document], fact_id: str) -> list[Document]:
    """Return the facts without one, or as they are if it is not there."""
    return [fact for fact in facts if fact["fact_id"] != fact_id]


def _normalized(text: JSON) -> str:
    return one_line(unicodedata.normalize("NFKC", str(text)).casefold())


def _free_id(facts: Sequence[Document], text: str) -> str:
    """Return the text's digest. If a fact has that id whose text was corrected since, return the next free digest."""
    taken = {fact["fact_id"] for fact in facts}
    digests = (sha256(f"{number}:{_normalized(text)}".encode()).hexdigest()[:FACT_ID_CHARS] for number in count())
    return next(digest for digest in digests if digest not in taken)
