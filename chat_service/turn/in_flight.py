"""Running turns, each in its own task.

A client that disconnects does not stop its turn. Requests with the same Idempotency-Key share one turn.
"""

import asyncio
from collections.abc import AsyncIterator

from agent.progress import Delta, Progress
from errors import IdempotencyKeyReused, InternalError, ServiceError, TurnStopped
from lifecycle import BackgroundTasks
from models import Response
from turn.pipeline import TurnPipeline
from turn.request import TurnRequest


class RunningTurn:
    """A running turn: its future response, and its progress if a client streams it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.progress: asyncio.Queue[Progress | None] = asyncio.Queue()
        """The turn's progress, then None."""
        self._response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._response.add_done_callback(self._end)

    async def response(self) -> Response:
        """Wait for the response. Raises ServiceError if the turn failed."""
        return await asyncio.shield(self._response)

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


class RunningTurns:
    """Starts turns, and lets requests join turns that are already running."""

    def __init__(self, pipeline: TurnPipeline, background: BackgroundTasks) -> None:
        self._pipeline = pipeline
        self._background = background
        self._running: dict[str, RunningTurn] = {}

    async def reply(self, request: TurnRequest) -> Response:
        """The turn's response."""
        turn = self._join(request) or self._start(request, is_streamed=False)
        return await turn.response()

    async def events(self, request: TurnRequest) -> AsyncIterator[Progress | Response]:
        """The turn's progress as it happens, then its response.

        A turn that was joined, or that produced no text, yields its whole reply as one Delta. Raises ServiceError if
        the turn fails, before or after the first progress.
        """
        has_text = False
        turn = self._join(request)
        if turn is None:
            turn = self._start(request, is_streamed=True)
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
        turn = self._running[request.turn_id] = RunningTurn(request.text)
        self._background.start(self._run(request, turn, is_streamed=is_streamed))
        return turn

    async def _run(self, request: TurnRequest, turn: RunningTurn, *, is_streamed: bool) -> None:
        emit = turn.progress.put_nowait if is_streamed else None
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
            turn.fail(InternalError())  # after a bug, which the event loop logs, no client is left waiting
            del self._running[request.turn_id]
