"""Session ids that are derived from an Idempotency-Key and reserved for one user.

Whoever guesses another person's key could compute a plain derived id and take the session first. So the id names its
user, and the service refuses such an id from anybody else.
"""

import json
import re
from base64 import b32encode
from hashlib import sha256

DIGEST_CHARS = 26
"""Characters of each digest. Each has 5 bits; 130 bits are too many to search for another user with the same one."""

_RESERVED = re.compile(rf"k-([a-z2-7]{{{DIGEST_CHARS}}})-[a-z2-7]{{{DIGEST_CHARS}}}")


def derived_session_id(user_id: str, idempotency_key: str) -> str:
    """The session id of the user's requests with this key."""
    return f"k-{_digest(user_id)}-{_digest(user_id, idempotency_key)}"


def belongs_to_another(session_id: str, user_id: str) -> bool:
    """Whether the session id is reserved for a user other than this one."""
    reserved = _RESERVED.fullmatch(session_id)
    return reserved is not None and reserved[1] != _digest(user_id)


def _digest(*parts: str) -> str:
    """A digest of the parts. The JSON encoding keeps different lists of parts distinct."""
    return b32encode(sha256(json.dumps(parts).encode()).digest()).decode()[:DIGEST_CHARS].lower()
