"""Ids of sessions and turns: drawn at random, or derived so that a repeated request finds its turn again."""

import json
from hashlib import sha256
from uuid import UUID, uuid4

from models import Message, TurnRequest, now


def turn_request(message: Message, idempotency_key: str | None) -> TurnRequest:
    """The message with its session's id and its turn's."""
    given = (message.metadata.session_id if message.metadata else None) or None  # empty as in the tutorial: none
    user_id = message.user_id
    if idempotency_key is None:
        session_id, turn_id = given or str(uuid4()), str(uuid4())
    else:
        session_id = given or _derived("session", user_id, idempotency_key)
        turn_id = _derived("turn", user_id, session_id, idempotency_key)
    return TurnRequest(
        user_id=user_id,
        session_id=session_id,
        turn_id=turn_id,
        text=message.text,
        received_at=now(),
        is_new_session=given is None and idempotency_key is None,
        is_repeatable=idempotency_key is not None,
        callback_url=None if message.callback_url is None else str(message.callback_url),
    )


def _derived(*parts: str) -> str:
    """A UUID that is the same for the same parts; as JSON no two lists of parts read alike."""
    return str(UUID(bytes=sha256(json.dumps(parts).encode()).digest()[:16], version=5))
