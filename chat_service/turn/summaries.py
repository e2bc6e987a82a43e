"""Keeps the summary of each session up to date, in background tasks.

Messages are summarized before they leave the model's window. A crash or a lost race loses only the summary that was
being written: the messages stay stored, and the next turn starts the summary again.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from agent.chat_agent import ChatAgent
from agent.context import WINDOW_MESSAGES
from agent.prompts import MAX_SUMMARY_CHARS, summary_task
from errors import MemoryFailure, MemoryRejection, ModelFailure
from lifecycle import BackgroundTasks
from llm.errors import ModelContextTooLong
from memory_client import PAGE_MESSAGES, MemoryClient
from memory_models import NO_SUMMARY, AppendedTurn, Conversation, ConversationEntry, Summary
from metrics import Metrics
from tracing import traced
from turn.backoff import TurnBackoff
from turn.completed_turn import CompletedTurn
from turn.summary_pieces import cut, is_due, next_piece
from unexpected_errors import described

SUMMARY_TIMEOUT_SECONDS = 60.0
"""Time limit of one model call for a summary, in seconds; the same as the default limit of a turn."""
MAX_RUNNING = 4
"""Number of summaries written at once. Turns keep the rest of the endpoint's and this machine's capacity."""
MAX_SESSIONS = 100
"""Number of sessions whose summary is being written or waits. Further ones are left to a later turn of theirs."""
MAX_BATCH_MESSAGES = 400
"""Messages that one batch of a summary covers at most; a batch holds some megabytes. Then other sessions have a turn.
"""
MIN_PIECE_CHARS = 250
"""Shortest piece tried, in characters, when the model refuses longer ones as too long."""

_OVERTAKEN = frozenset({"summary_conflict", "history_replaced", "session_deleted"})
"""Codes of the memory service after which the summary is of no use: another replica was faster, the user corrected or
removed the stored one, or nothing is left."""

logger = logging.getLogger("chat_service.summaries")


@dataclass
class _Job:
    """A session whose summary is being written or waits for it."""

    session_id: str
    user_id: str
    window_chars: int
    """The window that the summary has to relieve, in characters."""
    is_forced: bool
    is_wanted_again: bool = False
    newest: Conversation | None = None
    """The session's newest messages, if they are known without a read. Jobs that wait for a slot do not keep them."""


class Summaries:
    """Writes summaries: one task at a time for each session, and a limited number in all.

    A session whose summary fails is left alone for a number of turns, which grows with each failure.
    """

    def __init__(
        self,
        memory: MemoryClient,
        agent: ChatAgent,
        background: BackgroundTasks,
        budget_chars: int,
        metrics: Metrics,
    ) -> None:
        self._memory = memory
        self._agent = agent
        self._background = background
        self._budget_chars = budget_chars
        self._metrics = metrics
        self._jobs: dict[str, _Job] = {}
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._backoff = TurnBackoff()

    def notice(self, turn: CompletedTurn, recorded: AppendedTurn) -> None:
        """Start a summary if one is due after this turn was recorded, or if that is not known."""
        conversation = turn.conversation_after(recorded)
        request = turn.request
        if turn.is_context_reduced:
            self.relieve(request.session_id, request.user_id, self._budget_chars // 2)
        elif conversation is None or is_due(conversation, self._budget_chars, recorded.summarized):
            job = _Job(request.session_id, request.user_id, self._budget_chars, is_forced=False)
            if turn.is_next_after_read(recorded) and not self._slots.locked():
                job.newest = conversation
            self._start(job)

    def relieve(self, session_id: str, user_id: str, window_chars: int) -> bool:
        """Start a summary although none is due: the model refuses the session's window as too long.

        Returns whether one is being written now.
        """
        self._start(_Job(session_id, user_id, window_chars, is_forced=True))
        return session_id in self._jobs

    def _start(self, job: _Job) -> None:
        running = self._jobs.get(job.session_id)
        if running is not None:
            running.is_wanted_again = True
            running.is_forced = running.is_forced or job.is_forced
            running.window_chars = min(running.window_chars, job.window_chars)
        elif len(self._jobs) >= MAX_SESSIONS:
            self._metrics.summary_ended("skipped")
            logger.info("summary skipped session=%s code=too_many_summaries", job.session_id)
        elif self._backoff.allows(job.session_id):
            self._jobs[job.session_id] = job
            self._background.start(self._run(job), is_dispensable=True)

    async def _run(self, job: _Job) -> None:
        try:
            failure = await self._failure_of(job)
            if failure is None:
                self._backoff.succeeded(job.session_id)
            else:
                self._backoff.failed(job.session_id)
                self._metrics.summary_ended("failed")
                logger.warning("summary failed session=%s code=%s", job.session_id, failure)
        finally:
            del self._jobs[job.session_id]

    async def _failure_of(self, job: _Job) -> str | None:
        """Write the summary, again while it is wanted. Returns the code of the failure, if it fails."""
        try:
            while True:
                job.is_wanted_again = False
                async with self._slots:
                    await self._summarize(job)
                if not job.is_wanted_again:
                    return None
        except MemoryRejection as rejection:
            if rejection.code in _OVERTAKEN:
                self._metrics.summary_ended("overtaken")
                logger.info("summary dropped session=%s code=%s", job.session_id, rejection.code)
                return None
            return rejection.code
        except (ModelFailure, MemoryFailure) as failure:
            return failure.code
        except TimeoutError:
            return "model_timeout"
        except Exception as error:  # noqa: BLE001 - a bug is a failure too, and its text can hold a conversation
            return f"internal_error error={described(error)}"

    @traced("summary")
    async def _summarize(self, job: _Job) -> None:
        newest = job.newest or await self._memory.recent(job.session_id, job.user_id, WINDOW_MESSAGES)
        job.newest = None
        if newest.epoch is None or not (job.is_forced or is_due(newest, self._budget_chars)):
            return
        stored = newest.summary or NO_SUMMARY
        through = newest.summarized
        left = await self._uncovered(job, newest)
        job.is_wanted_again = job.is_wanted_again or 0 < len(left) < newest.length - through
        piece_chars = job.window_chars
        while piece := next_piece(left, piece_chars):
            try:
                text = (await self._ask(stored.text or None, cut(piece, piece_chars)))[:MAX_SUMMARY_CHARS]
            except ModelContextTooLong:
                piece_chars //= 2
                if piece_chars < MIN_PIECE_CHARS:
                    raise
                continue
            through, left = through + len(piece), left[len(piece) :]
            summary = Summary(text=text, through=through)
            await self._memory.put_summary(job.session_id, job.user_id, summary, newest.epoch, previous=stored)
            stored = summary
            self._metrics.summary_ended("stored")
            logger.info("summary stored session=%s through=%d", job.session_id, through)

    async def _ask(self, so_far: str | None, piece: Sequence[ConversationEntry]) -> str:
        async with asyncio.timeout(SUMMARY_TIMEOUT_SECONDS):
            return await self._agent.summarize(so_far, summary_task(so_far, piece))

    async def _uncovered(self, job: _Job, newest: Conversation) -> list[ConversationEntry]:
        """The oldest messages after the summary's end, up to the end of `newest`, at most MAX_BATCH_MESSAGES.

        Empty if the session was replaced since. The messages are selected by number, because turns may be appended
        between the reads. More than one read is needed only if the summary is far behind.
        """
        begin, end = newest.summarized, newest.length
        page, found = newest, newest.history
        if end - len(found) > begin:
            page = await self._memory.recent(job.session_id, job.user_id, min(end - begin, PAGE_MESSAGES))
            found = page.history
        start = page.length - len(found)
        while start > begin and page.before is not None and page.epoch == newest.epoch:
            page = await self._memory.before(job.session_id, job.user_id, page.before)
            start -= len(page.history)
            found = [*page.history, *found][: begin - start + MAX_BATCH_MESSAGES]
        if start > begin or page.epoch != newest.epoch:
            return []
        return found[begin - start : end - start][:MAX_BATCH_MESSAGES]
