"""A turn's request: the message with the ids of its session and its turn.

Ids are random, or derived from the Idempotency-Key so that a repeated request finds its turn again.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID, uuid4

from errors import EmptyText, NotOwner
from identity.users import User
from models import Message, now
from turn.session_ids import belongs_to_another, derived_session_id


@dataclass(frozen=True)
class StopRequest:
    """Which turn of a user to stop. Its id depends on the user, so nobody names a turn of another."""

    turn_id: str

    @classmethod
    def of(cls, user: User, session_id: str | None, idempotency_key: str) -> "StopRequest":
        """The request for the turn that this user requested with this session id and key."""
        return cls(_keyed_ids(user, session_id or None, idempotency_key)[1])


@dataclass(frozen=True)
class TurnRequest:
    """What a turn is to do: for which user, in which session, under which turn id."""

    user_id: str
    user_name: str
    """What the user is called if there is no profile."""
    session_id: str
    turn_id: str
    text: str
    received_at: str
    is_new_session: bool
    """The session id was just generated, so the session has no history."""
    is_repeatable: bool
    """The turn id comes from an Idempotency-Key, so the turn may be recorded already."""
    callback_url: str | None = None
    is_resumed: bool = False
    """The turn must exist: it is not to run again."""

    @classmethod
    def from_message(
        cls, message: Message, user: User, idempotency_key: str | None, *, is_resumed: bool = False
    ) -> "TurnRequest":
        """The user's request for this message.

        Raises EmptyText if the message has no text, NotOwner if its session id is reserved for another user.
        """
        if not message.text.strip():
            raise EmptyText
        given = (message.metadata.session_id if message.metadata else None) or None  # empty counts as missing
        if given is not None and user.is_verified and belongs_to_another(given, user.user_id):
            raise NotOwner
        if idempotency_key is None:
            session_id, turn_id = given or str(uuid4()), str(uuid4())
        else:
            session_id, turn_id = _keyed_ids(user, given, idempotency_key)
        return cls(
            user_id=user.user_id,
            user_name=user.name,
            session_id=session_id,
            turn_id=turn_id,
            text=message.text,
            received_at=now(),
            is_new_session=given is None and idempotency_key is None,
            is_repeatable=idempotency_key is not None,
            callback_url=None if message.callback_url is None else str(message.callback_url),
            is_resumed=is_resumed,
        )


def _keyed_ids(user: User, session_id: str | None, idempotency_key: str) -> tuple[str, str]:
    """The ids of the session and of the turn of a request with a key."""
    session_id = session_id or _session_id(user, idempotency_key)
    return session_id, _derived("turn", user.user_id, session_id, idempotency_key)


def _session_id(user: User, idempotency_key: str) -> str:
    """The session of a request without a session id: the same for the same user and key.

    A verified user gets one that nobody else can take first. A claimed user has nobody to be protected from.
    """
    if user.is_verified:
        return derived_session_id(user.user_id, idempotency_key)
    return _derived("session", user.user_id, idempotency_key)


def _derived(*parts: str) -> str:
    """A UUID that depends on the parts only. The JSON encoding keeps different lists of parts distinct."""
    return str(UUID(bytes=sha256(json.dumps(parts).encode()).digest()[:16], version=5))
