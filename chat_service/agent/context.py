"""What the model receives of a session. Pure functions from what memory holds to the model's input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents import TResponseInputItem

from agent.prompts import MAX_FACTS_CHARS, chat_instructions
from memory_models import Conversation, ConversationEntry, Profile

WINDOW_MESSAGES = 20
"""Largest number of earlier messages given verbatim. The memory service's head holds at least that many."""
FACTS_SHARE = 4
"""Part of the budget for messages that facts may have on top of it, so that a small model gets few of them."""


class ToolMemory(Protocol):
    """The memory that the tools of one turn may change. Each method returns a sentence for the model."""

    async def remember(self, fact: str) -> str:
        """Store a fact about the user."""

    async def forget(self, fact: str) -> str:
        """Remove a fact."""

    async def change_profile(self, field: str, value: str) -> str:
        """Change one field of the profile."""


@dataclass(frozen=True)
class RunContext:
    """What the agent's instructions and tools know about the run."""

    user_id: str
    instructions: str
    memory: ToolMemory


@dataclass(frozen=True)
class ModelInput:
    """The instructions, the messages, and how many earlier messages are in neither the summary nor the window."""

    instructions: str
    messages: list[TResponseInputItem]
    lag: int


def model_input(profile: Profile, conversation: Conversation | None, text: str, budget_chars: int) -> ModelInput:
    """Instructions from profile, facts and summary, then the newest whole turns verbatim, then `text`."""
    facts_chars = min(MAX_FACTS_CHARS, budget_chars // FACTS_SHARE)
    if conversation is None:
        return ModelInput(chat_instructions(profile, None, facts_chars), [_as_message("user", text)], 0)
    kept = window(conversation, budget_chars)
    summary = conversation.summary.text if conversation.summary else ""  # empty also if the user removed it
    return ModelInput(
        chat_instructions(profile, summary or None, facts_chars),
        [*(_as_message(entry.role, entry.content) for entry in kept), _as_message("user", text)],
        max(0, conversation.length - len(kept) - conversation.summarized),
    )


def reduced_input(profile: Profile, conversation: Conversation, text: str, budget_chars: int) -> ModelInput:
    """Input for a model that refused the usual one as too long: half the window, without what the summary covers."""
    rest = conversation.model_copy(update={"history": conversation.uncovered, "total": conversation.length})
    return model_input(profile, rest, text, budget_chars // 2)


def window(conversation: Conversation, budget_chars: int) -> list[ConversationEntry]:
    """The newest whole turns that fit into the budget."""
    turns = whole_turns(conversation.history)
    if len(conversation.history) < conversation.length and turns and turns[0][0].role != "user":
        turns = turns[1:]  # the read returned only the end of this turn
    kept: list[ConversationEntry] = []
    left = budget_chars
    for turn in reversed(turns):
        left -= chars(turn)
        if left < 0:
            break
        kept = [*turn, *kept]
    return kept


def whole_turns(entries: Sequence[ConversationEntry]) -> list[list[ConversationEntry]]:
    """The entries grouped into turns: by turn id, or without one (the tutorial's) from user message to user message."""
    turns: list[list[ConversationEntry]] = []
    for entry in entries:
        if turns and _belongs_to(turns[-1], entry):
            turns[-1].append(entry)
        else:
            turns.append([entry])
    return turns


def chars(entries: Sequence[ConversationEntry]) -> int:
    """The length of the entries' text, in characters."""
    return sum(len(entry.content) for entry in entries)


def _belongs_to(turn: Sequence[ConversationEntry], entry: ConversationEntry) -> bool:
    if entry.turn_id is None:
        return turn[0].turn_id is None and entry.role != "user"
    return turn[0].turn_id == entry.turn_id


def _as_message(role: str, content: str) -> TResponseInputItem:
    """A message for the model. A stored role other than `assistant` is not trusted: it becomes `user`."""
    if role == "assistant":
        return {"role": "assistant", "content": content}
    return {"role": "user", "content": content}
