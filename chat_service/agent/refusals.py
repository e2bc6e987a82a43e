"""Recognizes a text that declines the task instead of doing it. Pure."""

import re

MAX_REFUSAL_CHARS = 400
"""Longest text, in characters, that counts as a refusal. A refusal is a sentence or two."""

_REFUSAL = re.compile(
    r"\W*(?:unfortunately,?\s+)?(?:"
    r"i(?:['\u2019]m|\s+am)\s+(?:sorry|unable|not\s+able)|"
    r"i\s+(?:cannot|can\s?not|can['\u2019]t|won['\u2019]t|will\s+not|must\s+decline|apologi[sz]e)|"
    r"sorry\b|as\s+an\s+ai\b)",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a short text begins as models decline in English. A summary speaks of the user, not of itself."""
    return len(text) <= MAX_REFUSAL_CHARS and _REFUSAL.match(text) is not None
