"""One turn: remember, ask the model, save, answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.chat_agent import ChatAgent, Emit
from agent.context import model_input
from callbacks import Callbacks
from errors import ServiceError, turn_too_slow
from lifecycle import Background
from memory_client import MemoryClient
from models import Conversation, ConversationEntry, Profile, Response, TurnRequest, now
from settings import Settings
from turn.recall import Recalled, recall
from turn.replies import pending, repeated, settled, with_metadata
from turn.saving import TurnSaver
from turn.summaries import Summaries
from turn.turn_log import TurnLog

LEAST_SAVE_SECONDS = 1.0  # that a reply gets to be saved in, also when it came at the last moment


@dataclass(frozen=True)
class Taken:
    """A turn's reply, and what is left to do once it is out."""

    response: Response
    afterwards: Callable[[], Awaitable[None]] | None = None


class Turns:
    """Takes turns. Raises ServiceError where there is no reply."""

    def __init__(
        self,
        memory: MemoryClient,
        agent: ChatAgent,
        saver: TurnSaver,
        summaries: Summaries,
        callbacks: Callbacks,
        background: Background,
        settings: Settings,
    ) -> None:
        self._memory = memory
        self._agent = agent
        self._saver = saver
        self._summaries = summaries
        self._callbacks = callbacks
        self._background = background
        self._settings = settings

    async def take(self, request: TurnRequest, emit: Emit | None = None) -> Taken:
        """The whole turn; where its time runs out before there is a reply, none."""
        line = TurnLog(request)
        deadline = asyncio.get_running_loop().time() + self._settings.turn_timeout_seconds
        try:
            taken = await self._take(request, emit, line, deadline)
        except TimeoutError as error:
            line.write("status=504 code=turn_timeout", is_well=False)
            raise turn_too_slow() from error
        except asyncio.CancelledError:
            line.write("status=503 code=stopping", is_well=False)
            raise
        except ServiceError as error:
            line.write(f"status={error.status} code={error.code}", is_well=error.status < 500)
            raise
        line.write_reply(taken.response.metadata)
        return taken

    async def _take(self, request: TurnRequest, emit: Emit | None, line: TurnLog, deadline: float) -> Taken:
        async with asyncio.timeout_at(deadline):
            with line.measured("read"):
                recalled = await recall(self._memory, request)
            if recalled.recorded is not None:
                response = repeated(request, recalled.recorded, self._agent.model_name)
                self._tell(request, response)
                return Taken(response)
            profile = recalled.profile or Profile.unknown(request.user_id)
            given = model_input(profile, recalled.conversation, request.text, self._settings.context_budget_chars)
            with line.measured("model"):
                reply = await self._agent.reply(given, emit)
        entries = (
            ConversationEntry(role="user", content=request.text, timestamp=request.received_at),
            ConversationEntry(role="assistant", content=reply, timestamp=now()),
        )
        draft = pending(request, entries[1], self._agent.model_name, recalled.state, given.lag)
        if request.callback_url is not None:
            return Taken(draft, lambda: self._save_late(request, draft, entries, recalled, line))
        with line.measured("save"):
            left = deadline - asyncio.get_running_loop().time()
            limit = min(self._settings.save_timeout_seconds, max(left, LEAST_SAVE_SECONDS))
            return Taken(await self._save(request, draft, entries, recalled, limit))

    async def _save(
        self,
        request: TurnRequest,
        draft: Response,
        entries: Sequence[ConversationEntry],
        recalled: Recalled,
        limit_seconds: float,
    ) -> Response:
        """The reply with what became of the save; where the turn was recorded before, the recorded reply."""
        outcome = await self._saver.save(request, entries, limit_seconds)
        before, recorded = recalled.conversation, outcome.recorded
        if before is not None and recorded is not None:
            after = Conversation(
                history=[*before.history, *entries], total=recorded.total, epoch=recorded.epoch, summary=before.summary
            )
            self._summaries.notice(request.session_id, request.user_id, after)
        return settled(request, draft, outcome)

    async def _save_late(
        self,
        request: TurnRequest,
        draft: Response,
        entries: Sequence[ConversationEntry],
        recalled: Recalled,
        line: TurnLog,
    ) -> None:
        """Save once the reply is out, then tell the callback."""
        limit = self._settings.callback_save_timeout_seconds
        try:
            final = await self._save(request, draft, entries, recalled, limit)
        except asyncio.CancelledError:
            lost = with_metadata(draft, history="not_saved", code="stopping")
            line.write_late_save(lost.metadata)
            self._tell(request, lost)
            raise
        except ServiceError as error:
            final = with_metadata(draft, history="not_saved", code=error.code)
        line.write_late_save(final.metadata)
        self._tell(request, final)

    def _tell(self, request: TurnRequest, response: Response) -> None:
        if request.callback_url is not None:
            self._background.start(self._callbacks.tell(request.callback_url, response))
