"""When a summary is due and what it covers next. Pure functions over messages."""

from collections.abc import Sequence

from agent.context import WINDOW_MESSAGES, chars, whole_turns
from memory_models import Conversation, ConversationEntry

DUE_SHARE = 0.75
"""Share of the window, in messages or in characters, at which a summary starts. It ends before messages drop out."""
CUT = " [...]"
"""Stands for the rest of a message that is too long for the model even alone."""


def is_due(conversation: Conversation, budget_chars: int, summarized: int | None = None) -> bool:
    """Whether the messages after the summary fill so much of the window that a new summary has to start.

    `summarized` is how many messages the summary covers, if a newer number than the conversation's is known.
    """
    uncovered = conversation.length - (conversation.summarized if summarized is None else summarized)
    if uncovered >= DUE_SHARE * WINDOW_MESSAGES:
        return True
    return uncovered > 0 and chars(conversation.history[-uncovered:]) >= DUE_SHARE * budget_chars


def next_piece(entries: Sequence[ConversationEntry], budget_chars: int) -> list[ConversationEntry]:
    """The oldest whole turns that fit into the budget together, at least one; empty if nothing is to be summarized.

    The newest turn is left out: the next question is most likely about it. But a newest turn that does not fit into
    the window is summarized too: otherwise it would be in neither.
    """
    turns = whole_turns(entries)
    if turns and _fits_window(turns[-1], budget_chars):
        turns = turns[:-1]
    piece: list[ConversationEntry] = []
    for turn in turns:
        if piece and chars(piece) + chars(turn) > budget_chars:
            break
        piece += turn
    return piece


def cut(piece: Sequence[ConversationEntry], budget_chars: int) -> list[ConversationEntry]:
    """The piece for the model. A single turn longer than the budget has its messages cut to equal shares of it."""
    if chars(piece) <= budget_chars:
        return [*piece]
    share = budget_chars // len(piece)
    return [
        entry if len(entry.content) <= share else entry.model_copy(update={"content": entry.content[:share] + CUT})
        for entry in piece
    ]


def _fits_window(turn: Sequence[ConversationEntry], budget_chars: int) -> bool:
    return len(turn) <= WINDOW_MESSAGES and chars(turn) <= budget_chars
