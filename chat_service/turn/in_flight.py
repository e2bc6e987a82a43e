"""Running turns, each in its own task.

A client that disconnects does not stop its turn; its user can. Requests with the same Idempotency-Key share one turn,
and each may have a callback: then its response does not wait for the save, and its URL is notified of the outcome.
"""

import asyncio
from collections.abc import AsyncIterator

from agent.progress import Delta, Progress, Waiting
from callbacks import Callbacks
from errors import IdempotencyKeyReused, InternalError, ServiceError, TurnNotRunning, TurnStopped
from lifecycle import BackgroundTasks
from models import Response
from slots import Slots
from turn.pipeline import TurnPipeline
from turn.request import StopRequest, TurnRequest
from turn.running_turn import RunningTurn

QUIET_SECONDS = 0.5
"""Seconds without any event after which a stream begins all the same. Until then a failure has its own HTTP status:
most refusals take some milliseconds, and an endpoint's refusal of the key about 300. A person notices a second."""


class RunningTurns:
    """Starts turns, and lets requests join turns that are already running."""

    def __init__(self, pipeline: TurnPipeline, callbacks: Callbacks, background: BackgroundTasks, slots: Slots) -> None:
        self._pipeline = pipeline
        self._callbacks = callbacks
        self._background = background
        self._slots = slots
        self._running: dict[str, RunningTurn] = {}
        self._resuming: dict[str, RunningTurn] = {}
        """Turns that only look for what was stored. A request that may run the turn must not join one of them."""

    async def reply(self, request: TurnRequest) -> Response:
        """The turn's response."""
        turn = self._join(request) or self._start(request, is_streamed=False)
        return await turn.response(request)

    async def events(self, request: TurnRequest) -> AsyncIterator[Waiting | Progress | Response]:
        """The turn's progress as it happens, then its response. It begins with Waiting if the turn is slow to begin.

        A turn that was joined yields its progress from the beginning. A turn that produced no text, because it is not
        streamed or was recorded before, yields its whole reply as one Delta. Raises ServiceError if the turn fails,
        before or after the first progress.
        """
        has_text = False
        joined = self._join(request)
        turn = joined or self._start(request, is_streamed=True)
        if not await turn.begins_within(QUIET_SECONDS, request):
            yield Waiting()
        async for progress in turn.live.progress.read(is_joining=joined is not None):
            has_text = has_text or isinstance(progress, Delta)
            yield progress
        response = await turn.response(request)
        if not has_text:
            yield Delta(response.reply)
        yield response

    async def stop(self, request: StopRequest) -> Response:
        """Stop the model of a running turn, and return the turn's response once what was said is saved.

        A turn whose model has just ended is not stopped; its response shows it. Raises TurnNotRunning if no such turn
        runs in this process, and what the turn raises, StoppedEmpty among it.
        """
        turn = self._running.get(request.turn_id)
        if turn is None:
            raise TurnNotRunning
        turn.live.stop.press()
        return await turn.response()

    def _join(self, request: TurnRequest) -> RunningTurn | None:
        turn = self._running.get(request.turn_id)
        if turn is None and request.is_resumed:
            turn = self._resuming.get(request.turn_id)
        if turn is None:
            return None
        if turn.text != request.text:
            raise IdempotencyKeyReused
        turn.add_callback(request.callback_url, self._callbacks)
        return turn

    def _start(self, request: TurnRequest, *, is_streamed: bool) -> RunningTurn:
        if self._background.is_stopping:  # nothing would bound the turn: those that run were counted before
            raise TurnStopped
        turn = RunningTurn(request.text, is_streamed=is_streamed)
        self._slots.take()
        try:
            turn.add_callback(request.callback_url, self._callbacks)
        except ServiceError:
            self._slots.give_back()
            raise
        self._turns_like(request)[request.turn_id] = turn
        self._background.start(self._run(request, turn))
        return turn

    async def _run(self, request: TurnRequest, turn: RunningTurn) -> None:
        try:
            try:
                result = await self._pipeline.run(request, turn.live)
                turn.succeed(result.response)
            finally:
                self._slots.give_back()  # a late save keeps no other turn out: the callbacks of a receiver are bounded
            turn.end(result.response if result.afterwards is None else await result.afterwards())
        except ServiceError as error:
            turn.fail(error)
        except asyncio.CancelledError:
            turn.fail(TurnStopped())
            raise
        finally:
            turn.fail(InternalError())  # whatever happened, no client is left waiting
            del self._turns_like(request)[request.turn_id]
            turn.notify()

    def _turns_like(self, request: TurnRequest) -> dict[str, RunningTurn]:
        return self._resuming if request.is_resumed else self._running
