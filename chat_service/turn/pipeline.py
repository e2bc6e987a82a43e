"""One turn: read memory, run the agent, save the turn, respond."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.chat_agent import ChatAgent, ModelReply
from agent.context import ModelInput, RunContext, model_input, reduced_input
from agent.user_memory import UserMemory
from errors import (
    InternalError,
    ServiceError,
    StoppedEmpty,
    TurnNotFound,
    TurnNotKnown,
    TurnStopped,
    TurnTimeout,
)
from llm.errors import ModelContextTooLong
from memory_models import ConversationEntry, Profile
from memory_user_data import UserDataClient
from metrics import Metrics
from models import Response, now
from settings import Settings
from tracing import traced
from turn.completed_turn import CompletedTurn
from turn.live_turn import LiveTurn
from turn.recall import MemorySnapshot, recall
from turn.recent_finishes import RecentFinishes
from turn.replies import draft_response, final_response, recorded_response, unknown_response, with_metadata
from turn.request import TurnRequest
from turn.saving import SaveOutcome, TurnSaver
from turn.summaries import Summaries
from turn.summary_pieces import next_piece
from turn.turn_log import TurnLog
from turn.unsaved import UnsavedReplies

MIN_SAVE_SECONDS = 1.0
"""Least time for a save, in seconds, also if the reply came at the end of the turn's time limit. One attempt fits."""
SMALL_WINDOW_DIVISOR = 8
"""Part of the window that the newest turn may fill after the model refused half of it. Else it is summarized too."""

logger = logging.getLogger("chat_service.turn")


@dataclass(frozen=True)
class TurnResult:
    """A turn's response, and the save that remains after it is sent. The save returns the final response."""

    response: Response
    afterwards: Callable[[], Awaitable[Response]] | None = None


class TurnPipeline:
    """Runs turns. Raises ServiceError if there is no reply."""

    def __init__(
        self,
        memory: UserDataClient,
        agent: ChatAgent,
        saver: TurnSaver,
        summaries: Summaries,
        unsaved: UnsavedReplies,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._memory = memory
        self._agent = agent
        self._saver = saver
        self._summaries = summaries
        self._settings = settings
        self._metrics = metrics
        self._finishes = RecentFinishes()
        self._unsaved = unsaved

    @traced("turn")
    async def run(self, request: TurnRequest, live: LiveTurn) -> TurnResult:
        """Run the turn and log its outcome. Raises ServiceError if there is no reply; InternalError for a bug."""
        log = TurnLog(request, self._metrics)
        try:
            result = await self._run(request, live, log)
        except TimeoutError as error:
            log.write_failure(TurnTimeout)
            raise TurnTimeout from error
        except asyncio.CancelledError:
            log.write_failure(TurnStopped)
            raise
        except ServiceError as error:
            log.write_failure(error)
            raise
        except Exception as error:  # noqa: BLE001 - a bug ends the turn as any failure does, and prints no contents
            log.write_failure(InternalError, error)
            raise InternalError from None
        log.write_reply(result.response.metadata)
        return result

    async def _run(self, request: TurnRequest, live: LiveTurn, log: TurnLog) -> TurnResult:
        deadline = asyncio.get_running_loop().time() + self._settings.turn_timeout_seconds
        async with asyncio.timeout_at(deadline):
            with log.measured("read"):
                memory = await recall(self._memory, request)
            if memory.recorded_turn is not None:
                log.is_replay = True
                response = recorded_response(request, memory.recorded_turn, self._agent.model_name)
                return TurnResult(with_metadata(response, finish=self._finishes.of(response)))
            turn = self._unsaved.turn_of(request, memory)
            if turn is None:
                _check_may_run(request, memory)
                turn = await self._complete(request, memory, live, log)
        if request.callback_url is not None:
            return TurnResult(turn.draft, lambda: self._save_late(turn, log))
        remaining = deadline - asyncio.get_running_loop().time()
        limit = min(self._settings.save_timeout_seconds, max(remaining, MIN_SAVE_SECONDS))
        with log.measured("save"):
            return TurnResult(await self._save(turn, limit))

    async def _complete(
        self, request: TurnRequest, memory: MemorySnapshot, live: LiveTurn, log: TurnLog
    ) -> CompletedTurn:
        """Run the agent."""
        profile = (memory.profile or Profile.default(request.user_id)).with_name(request.user_id, request.user_name)
        given = model_input(profile, memory.conversation, request.text, self._settings.context_budget_chars)
        is_reduced = False
        with log.measured("model"):
            try:
                produced = await self._ask(request, given, live, log)
            except ModelContextTooLong as refusal:
                given, is_reduced = self._reduced(request, memory, profile, refusal), True
                produced = await self._ask_again(request, memory, given, live, log)
        question = ConversationEntry(role="user", content=request.text, timestamp=request.received_at)
        reply = ConversationEntry(role="assistant", content=produced.text, timestamp=now(), stopped=produced.is_stopped)
        draft = draft_response(request, reply, self._agent.model_name, memory.state, produced.finish, given.lag)
        if is_reduced:
            draft = with_metadata(draft, context="reduced")
        return CompletedTurn(request, draft, (question, reply), memory, is_reduced)

    async def _ask(self, request: TurnRequest, given: ModelInput, live: LiveTurn, log: TurnLog) -> ModelReply:
        """The model's reply. If it is stopped, what it said so far. Raises StoppedEmpty if that is nothing."""
        memory = UserMemory(self._memory, request.user_id, request.session_id)
        context = RunContext(request.user_id, given.instructions, memory)
        emit = live.emit and log.noting_first_token(live.emit)
        reply = await live.stop.run(lambda: self._agent.reply(context, given.messages, emit))
        if reply is not None:
            return reply
        if not live.progress.text.strip():
            raise StoppedEmpty
        return ModelReply(live.progress.text, finish=None, is_cut=True, is_refusal=False, is_stopped=True)

    async def _ask_again(
        self, request: TurnRequest, memory: MemorySnapshot, given: ModelInput, live: LiveTurn, log: TurnLog
    ) -> ModelReply:
        """Ask with a reduced window. If that too is too long, a summary has to relieve the session."""
        try:
            return await self._ask(request, given, live, log)
        except ModelContextTooLong as refusal:
            self._relieve(request, memory, self._settings.context_budget_chars // SMALL_WINDOW_DIVISOR, refusal)
            raise

    def _reduced(
        self, request: TurnRequest, memory: MemorySnapshot, profile: Profile, refusal: ModelContextTooLong
    ) -> ModelInput:
        """Less input than the model refused. Raises the refusal if less would not help or comes too late."""
        budget = self._settings.context_budget_chars
        if memory.conversation is None or not memory.conversation.history:
            raise refusal
        if not refusal.is_first_call:
            self._relieve(request, memory, budget // 2, refusal)
            raise refusal
        return reduced_input(profile, memory.conversation, request.text, budget)

    def _relieve(
        self, request: TurnRequest, memory: MemorySnapshot, window_chars: int, refusal: ModelContextTooLong
    ) -> None:
        """Start a summary, so that a repeat has a shorter conversation. The refusal says so if it was started.

        Without messages to summarize none is started: a repeat would be refused again.
        """
        if memory.conversation is None or not next_piece(memory.conversation.uncovered, window_chars):
            return
        if self._summaries.relieve(request.session_id, request.user_id, window_chars):
            refusal.detail = refusal.detail_with_summary

    async def _save(self, turn: CompletedTurn, limit_seconds: float) -> Response:
        """Save the turn and return its final response."""
        outcome = await self._saver.save(turn, limit_seconds)
        if outcome.recorded is not None:
            self._summaries.notice(turn, outcome.recorded)
        response = final_response(turn, outcome)
        if turn.request.is_repeatable:
            self._finishes.remember(response)
            self._keep_if_unsaved(turn, outcome)
        return response

    def _keep_if_unsaved(self, turn: CompletedTurn, outcome: SaveOutcome) -> None:
        """Keep the reply for a repeated request, unless it is saved or memory will never take it."""
        if outcome.history == "saved" or outcome.is_rejected:
            self._unsaved.forget(turn.request.turn_id)
        else:
            self._unsaved.keep(turn)

    async def _save_late(self, turn: CompletedTurn, log: TurnLog) -> Response:
        """Save the turn after its response was sent, and return its final response."""
        try:
            with log.measured("save"):
                final = await self._save(turn, self._settings.callback_save_timeout_seconds)
        except asyncio.CancelledError:
            log.write_late_save(unknown_response(turn.draft, TurnStopped.code).metadata)
            raise
        except ServiceError as error:
            final = with_metadata(turn.draft, history="not_saved", code=error.code)
        log.write_late_save(final.metadata)
        return final


def _check_may_run(request: TurnRequest, memory: MemorySnapshot) -> None:
    """Whether the model may be asked. Raises TurnNotFound or TurnNotKnown for a turn that is only to be resumed."""
    if request.is_resumed:
        raise TurnNotKnown if memory.conversation is None else TurnNotFound
