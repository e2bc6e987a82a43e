"""Condensing what is about to leave the model's window into the session's summary, off the request path.

A crash or a lost race costs nothing but the work: the messages stay, and the next turn finds them uncovered again.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from agent.chat_agent import ChatAgent
from agent.context import WINDOW_MESSAGES, chars, whole_turns
from agent.prompts import MAX_SUMMARY_CHARS, summary_task
from errors import MemoryFailure, MemoryRefusal, ModelFailure
from lifecycle import Background
from memory_client import PAGE_MESSAGES, MemoryClient
from models import Conversation, ConversationEntry, Summary

DUE_SHARE = 0.75  # of the window, in messages and in characters: begin before anything leaves it
TURNS_LEFT_OUT = 1  # the newest: the next question is most likely about it
CONDENSE_TIMEOUT_SECONDS = 60.0

log = logging.getLogger("chat_service.summaries")


def is_due(conversation: Conversation, budget_chars: int) -> bool:
    """The messages that the summary does not cover fill so much of the window that condensing has to begin."""
    uncovered = conversation.length - covered(conversation)
    if uncovered >= DUE_SHARE * WINDOW_MESSAGES:
        return True
    return uncovered > 0 and chars(conversation.history[-uncovered:]) >= DUE_SHARE * budget_chars


def covered(conversation: Conversation) -> int:
    """How many messages from the beginning the summary covers."""
    return conversation.summary.through if conversation.summary else 0


def pieces(entries: Sequence[ConversationEntry], budget_chars: int) -> Iterator[list[ConversationEntry]]:
    """What is to be condensed, oldest first: whole turns, as many at once as the model may be given.

    The newest is left out, unless it is too long for the window: then it would be in neither.
    """
    turns = whole_turns(entries)
    left_out = TURNS_LEFT_OUT if turns and chars(turns[-1]) <= budget_chars else 0
    piece: list[ConversationEntry] = []
    for turn in turns[: len(turns) - left_out]:
        if piece and chars(piece) + chars(turn) > budget_chars:
            yield piece
            piece = []
        piece = [*piece, *turn]
    if piece:
        yield piece


class Summaries:
    """Keeps each session's summary up to date, one task at a time per session."""

    def __init__(self, memory: MemoryClient, agent: ChatAgent, background: Background, budget_chars: int) -> None:
        self._memory = memory
        self._agent = agent
        self._background = background
        self._budget_chars = budget_chars
        self._running: set[str] = set()
        self._again: set[str] = set()

    def notice(self, session_id: str, user_id: str, conversation: Conversation) -> None:
        """A turn was saved and the session now ends as in `conversation`: condense if that is due."""
        if not is_due(conversation, self._budget_chars):
            return
        if session_id in self._running:
            self._again.add(session_id)
            return
        self._running.add(session_id)
        self._background.start(self._keep_up(session_id, user_id), is_dispensable=True)

    async def _keep_up(self, session_id: str, user_id: str) -> None:
        try:
            while True:
                self._again.discard(session_id)
                await self._condense(session_id, user_id)
                if session_id not in self._again:
                    return
        except MemoryRefusal as refusal:
            log.info("summary dropped session=%s code=%s", session_id, refusal.code)
        except (ModelFailure, MemoryFailure) as failure:
            log.warning("summary failed session=%s code=%s", session_id, failure.code)
        except TimeoutError:
            log.warning("summary failed session=%s code=model_timeout", session_id)
        finally:
            self._running.discard(session_id)

    async def _condense(self, session_id: str, user_id: str) -> None:
        newest = await self._memory.recent(session_id, user_id, WINDOW_MESSAGES)
        if newest.epoch is None or not is_due(newest, self._budget_chars):
            return
        text = newest.summary.text if newest.summary else None
        through = covered(newest)
        for piece in pieces(await self._uncovered(session_id, user_id, newest), self._budget_chars):
            async with asyncio.timeout(CONDENSE_TIMEOUT_SECONDS):
                text = (await self._agent.condensed(summary_task(text, piece)))[:MAX_SUMMARY_CHARS]
            through += len(piece)
            await self._memory.put_summary(session_id, Summary(text=text, through=through), newest.epoch)
            log.info("summary stored session=%s through=%d", session_id, through)

    async def _uncovered(self, session_id: str, user_id: str, newest: Conversation) -> list[ConversationEntry]:
        """The messages from the summary's end to where the session ended in `newest`; none if it was replaced since.

        They are cut by their numbers, as turns may be appended between the reads; and there is more than one read only
        where condensing has fallen behind.
        """
        begin, end = covered(newest), newest.length
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
