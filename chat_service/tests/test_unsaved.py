"""How long and how many replies are kept that could not be saved."""

import pytest

from identity.users import User
from memory_models import ConversationEntry
from models import Message, now
from turn import unsaved
from turn.completed_turn import CompletedTurn
from turn.recall import MemorySnapshot
from turn.replies import draft_response
from turn.request import TurnRequest
from turn.unsaved import KEPT_SECONDS, UnsavedReplies

NOTHING = MemorySnapshot(None, None, "ok")


def completed(key: str) -> CompletedTurn:
    """A turn with its reply."""
    request = TurnRequest.from_message(Message(text="Hello"), User.claimed("alice"), key)
    reply = ConversationEntry(role="assistant", content=f"Reply to {key}.", timestamp=now())
    draft = draft_response(request, reply, "scripted", "ok", "stop", 0)
    return CompletedTurn(request, draft, (reply,), NOTHING)


def test_reply_is_kept_for_ten_minutes() -> None:
    """A kept reply is there until its time has passed."""
    passed = 0.0
    kept, turn = UnsavedReplies(lambda: passed), completed("k1")
    kept.keep(turn)
    passed = KEPT_SECONDS - 1
    assert kept.turn_of(turn.request, NOTHING) == turn
    passed = KEPT_SECONDS
    assert kept.turn_of(turn.request, NOTHING) is None


def test_number_of_kept_replies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest reply is forgotten. A reply that is kept again counts as new."""
    monkeypatch.setattr(unsaved, "MAX_KEPT", 2)
    kept, turns = UnsavedReplies(), [completed(key) for key in ("k0", "k1", "k2")]
    for turn in (turns[0], turns[1], turns[0], turns[2]):
        kept.keep(turn)
    assert [kept.turn_of(turn.request, NOTHING) is not None for turn in turns] == [True, False, True]
