"""A turn that has its reply and waits to be saved."""

from dataclasses import dataclass

from memory_models import AppendedTurn, Conversation, ConversationEntry
from models import Response
from turn.recall import MemorySnapshot
from turn.request import TurnRequest


@dataclass(frozen=True)
class CompletedTurn:
    """The request, the response before its save is known, the entries to save, and what memory held before."""

    request: TurnRequest
    draft: Response
    entries: tuple[ConversationEntry, ...]
    memory: MemorySnapshot
    is_context_reduced: bool = False
    """The model refused the usual window as too long, and gave its reply with less."""

    def conversation_after(self, recorded: AppendedTurn) -> Conversation | None:
        """The end of the session once the turn is recorded; None if the session could not be read."""
        before = self.memory.conversation
        if before is None:
            return None
        return Conversation(
            history=[*before.history, *recorded.entries],
            total=recorded.total,
            epoch=recorded.epoch,
            summary=before.summary,
        )

    def is_next_after_read(self, recorded: AppendedTurn) -> bool:
        """Whether this turn directly follows what was read of the session, and the summary still covers as much."""
        before = self.memory.conversation
        return (
            before is not None
            and before.epoch == recorded.epoch
            and before.summarized == recorded.summarized
            and before.length + len(recorded.entries) == recorded.total
        )
