"""Keeps the summary of each session up to date, in background tasks.

Messages are summarized before they leave the model's window. A crash or a lost race loses only the summary that was
being written: the messages stay stored, and the next turn starts the summary again.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from agent.chat_agent import ChatAgent
from agent.context import WINDOW_MESSAGES, chars, whole_turns
from agent.prompts import MAX_SUMMARY_CHARS, summary_task
from errors import MemoryFailure, MemoryRejection, ModelFailure
from lifecycle import BackgroundTasks
from memory_client import PAGE_MESSAGES, MemoryClient
from memory_models import AppendedTurn, Conversation, ConversationEntry, Summary
from turn.completed_turn import CompletedTurn

DUE_SHARE = 0.75
"""Share of the window, in messages or in characters, at which a summary starts. It ends before messages drop out."""
NEWEST_TURNS_KEPT = 1
"""Number of newest turns left out of the summary. The next question is most likely about them."""
SUMMARY_TIMEOUT_SECONDS = 60.0
"""Time limit of one model call for a summary, in seconds; the same as the default limit of a turn."""

logger = logging.getLogger("chat_service.summaries")


def is_due(conversation: Conversation, budget_chars: int) -> bool:
    """Whether the messages after the summary fill so much of the window that a new summary has to start."""
    uncovered = conversation.length - conversation.summarized
    if uncovered >= DUE_SHARE * WINDOW_MESSAGES:
        return True
    return uncovered > 0 and chars(conversation.history[-uncovered:]) >= DUE_SHARE * budget_chars


def pieces(entries: Sequence[ConversationEntry], budget_chars: int) -> Iterator[list[ConversationEntry]]:
    """The entries to summarize, oldest first, in pieces of whole turns that fit into the budget.

    The newest turn is left out, unless it is too long for the window: otherwise it would be in neither.
    """
    turns = whole_turns(entries)
    kept = NEWEST_TURNS_KEPT if turns and chars(turns[-1]) <= budget_chars else 0
    piece: list[ConversationEntry] = []
    for turn in turns[: len(turns) - kept]:
        if piece and chars(piece) + chars(turn) > budget_chars:
            yield piece
            piece = []
        piece = [*piece, *turn]
    if piece:
        yield piece


class Summaries:
    """Writes summaries, in at most one task at a time for each session."""

    def __init__(self, memory: MemoryClient, agent: ChatAgent, background: BackgroundTasks, budget_chars: int) -> None:
        self._memory = memory
        self._agent = agent
        self._background = background
        self._budget_chars = budget_chars
        self._running: set[str] = set()
        self._again: set[str] = set()

    def notice(self, turn: CompletedTurn, recorded: AppendedTurn) -> None:
        """Start a summary if one is due after this turn was recorded."""
        conversation = turn.conversation_after(recorded)
        if conversation is None or not is_due(conversation, self._budget_chars):
            return
        session_id, user_id = turn.request.session_id, turn.request.user_id
        if session_id in self._running:
            self._again.add(session_id)
            return
        self._running.add(session_id)
        self._background.start(self._keep_up(session_id, user_id), is_dispensable=True)

    async def _keep_up(self, session_id: str, user_id: str) -> None:
        try:
            while True:
                self._again.discard(session_id)
                await self._summarize(session_id, user_id)
                if session_id not in self._again:
                    return
        except MemoryRejection as rejection:
            logger.info("summary dropped session=%s code=%s", session_id, rejection.code)
        except (ModelFailure, MemoryFailure) as failure:
            logger.warning("summary failed session=%s code=%s", session_id, failure.code)
        except TimeoutError:
            logger.warning("summary failed session=%s code=model_timeout", session_id)
        finally:
            self._running.discard(session_id)

    async def _summarize(self, session_id: str, user_id: str) -> None:
        newest = await self._memory.recent(session_id, user_id, WINDOW_MESSAGES)
        if newest.epoch is None or not is_due(newest, self._budget_chars):
            return
        text = newest.summary.text if newest.summary else None
        through = newest.summarized
        for piece in pieces(await self._uncovered(session_id, user_id, newest), self._budget_chars):
            async with asyncio.timeout(SUMMARY_TIMEOUT_SECONDS):
                text = (await self._agent.summarize(summary_task(text, piece)))[:MAX_SUMMARY_CHARS]
            through += len(piece)
            await self._memory.put_summary(session_id, user_id, Summary(text=text, through=through), newest.epoch)
            logger.info("summary stored session=%s through=%d", session_id, through)

    async def _uncovered(self, session_id: str, user_id: str, newest: Conversation) -> list[ConversationEntry]:
        """The messages between the summary's end and the end of `newest`; none if the session was replaced since.

        The messages are selected by number, because turns may be appended between the reads. More than one read is
        needed only if the summary is far behind.
        """
        begin, end = newest.summarized, newest.length
        page, found = newest, newest.history
        if end - len(found) > begin:
            page = await self._memory.recent(session_id, user_id, min(end - begin, PAGE_MESSAGES))
            found = page.history
        start = page.length - len(found)
        while start > begin and page.before is not None and page.epoch == newest.epoch:
            page = await self._memory.before(session_id, user_id, page.before)
            found = [*page.history, *found]
            start -= len(page.history)
        if start > begin or page.epoch != newest.epoch:
            return []
        return found[begin - start : end - start]
