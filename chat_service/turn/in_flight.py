"""Running turns, each in its own task.

A client that disconnects does not stop its turn. Requests with the same Idempotency-Key share one turn.
"""

import asyncio
from collections.abc import AsyncIterator

from agent.progress import Delta, Progress, Waiting
from errors import IdempotencyKeyReused, InternalError, ServiceError, TurnStopped
from lifecycle import BackgroundTasks
from models import Response
from slots import Slots
from turn.pipeline import TurnPipeline
from turn.request import TurnRequest

QUIET_SECONDS = 0.5
"""Seconds without any event after which a stream begins all the same. Until then a failure has its own HTTP status:
most refusals take some milliseconds, and an endpoint's refusal of the key about 300. A person notices a second."""


class RunningTurn:
    """A running turn: its future response, and its progress if a client streams it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.progress: asyncio.Queue[Progress | None] = asyncio.Queue()
        """The turn's progress, then None."""
        self._response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._response.add_done_callback(self._end)
        self._begun = asyncio.Event()

    async def response(self) -> Response:
        """Wait for the response. Raises ServiceError if the turn failed."""
        return await asyncio.shield(self._response)

    def emit(self, progress: Progress) -> None:
        """Hand on the turn's progress to the client that streams it."""
        self.progress.put_nowait(progress)
        self._begun.set()

    async def begins_within(self, seconds: float, *, is_joined: bool) -> bool:
        """Whether there is an event to send within this time. A joined turn gives nothing before its response."""
        try:
            async with asyncio.timeout(seconds):
                await (asyncio.wait({self._response}) if is_joined else self._begun.wait())
        except TimeoutError:
            return False
        return True

    def succeed(self, response: Response) -> None:
        """Give the turn its response."""
        self._response.set_result(response)

    def fail(self, error: ServiceError) -> None:
        """Fail the turn; no effect if it already succeeded or failed."""
        if not self._response.done():
            self._response.set_exception(error)

    def _end(self, response: asyncio.Future[Response]) -> None:
        response.exception()  # marks the exception as retrieved, for the case that no client waits any more
        self.progress.put_nowait(None)
        self._begun.set()


class RunningTurns:
    """Starts turns, and lets requests join turns that are already running."""

    def __init__(self, pipeline: TurnPipeline, background: BackgroundTasks, slots: Slots) -> None:
        self._pipeline = pipeline
        self._background = background
        self._slots = slots
        self._running: dict[str, RunningTurn] = {}

    async def reply(self, request: TurnRequest) -> Response:
        """The turn's response."""
        turn = self._join(request) or self._start(request, is_streamed=False)
        return await turn.response()

    async def events(self, request: TurnRequest) -> AsyncIterator[Waiting | Progress | Response]:
        """The turn's progress as it happens, then its response. It begins with Waiting if the turn is slow to begin.

        A turn that was joined, or that produced no text, yields its whole reply as one Delta. Raises ServiceError if
        the turn fails, before or after the first progress.
        """
        has_text = False
        joined = self._join(request)
        turn = joined or self._start(request, is_streamed=True)
        if not await turn.begins_within(QUIET_SECONDS, is_joined=joined is not None):
            yield Waiting()
        if joined is None:
            while (progress := await turn.progress.get()) is not None:
                has_text = has_text or isinstance(progress, Delta)
                yield progress
        response = await turn.response()
        if not has_text:
            yield Delta(response.reply)
        yield response

    def _join(self, request: TurnRequest) -> RunningTurn | None:
        turn = self._running.get(request.turn_id)
        if turn is not None and turn.text != request.text:
            raise IdempotencyKeyReused
        return turn

    def _start(self, request: TurnRequest, *, is_streamed: bool) -> RunningTurn:
        self._slots.take()
        turn = self._running[request.turn_id] = RunningTurn(request.text)
        self._background.start(self._run(request, turn, is_streamed=is_streamed))
        return turn

    async def _run(self, request: TurnRequest, turn: RunningTurn, *, is_streamed: bool) -> None:
        emit = turn.emit if is_streamed else None
        try:
            result = await self._pipeline.run(request, emit)
            turn.succeed(result.response)
            if result.afterwards is not None:
                await result.afterwards()
        except ServiceError as error:
            turn.fail(error)
        except asyncio.CancelledError:
            turn.fail(TurnStopped())
            raise
        finally:
            turn.fail(InternalError())  # whatever happened, no client is left waiting
            del self._running[request.turn_id]
            self._slots.give_back()
