"""Turns on their way, each in a task of its own: a client that goes away does not stop its turn, and requests with
one Idempotency-Key share one."""

import asyncio
from collections.abc import AsyncIterator

from errors import ServiceError, internal, key_reused, stopped
from lifecycle import Background
from models import Delta, Progress, Response, TurnRequest
from turn.pipeline import Turns


class RunningTurn:
    """A turn on its way: its reply to come, and its progress where that was asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.progress: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._reply: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._reply.add_done_callback(self._ended)

    async def reply(self) -> Response:
        """The reply. Raises ServiceError where there is none."""
        return await asyncio.shield(self._reply)

    def succeed(self, response: Response) -> None:
        """The reply is there."""
        self._reply.set_result(response)

    def fail(self, error: ServiceError) -> None:
        """There will be no reply, unless it is there."""
        if not self._reply.done():
            self._reply.set_exception(error)

    def _ended(self, reply: asyncio.Future[Response]) -> None:
        reply.exception()  # seen, also where every client has gone
        self.progress.put_nowait(None)


class RunningTurns:
    """Starts turns, and joins those that are already on their way."""

    def __init__(self, turns: Turns, background: Background) -> None:
        self._turns = turns
        self._background = background
        self._running: dict[str, RunningTurn] = {}

    async def reply(self, request: TurnRequest) -> Response:
        """The turn's reply, whole."""
        running = self._joined(request) or self._started(request, is_streamed=False)
        return await running.reply()

    async def events(self, request: TurnRequest) -> AsyncIterator[Progress | Response]:
        """The turn's progress as it comes, then its reply; of a turn that was not started here the whole text at once.

        Raises ServiceError where there is no reply, before or after the first progress.
        """
        is_quiet = True
        running = self._joined(request)
        if running is None:
            running = self._started(request, is_streamed=True)
            while (progress := await running.progress.get()) is not None:
                is_quiet = is_quiet and not isinstance(progress, Delta)
                yield progress
        response = await running.reply()
        if is_quiet:
            yield Delta(response.reply)
        yield response

    def _joined(self, request: TurnRequest) -> RunningTurn | None:
        running = self._running.get(request.turn_id)
        if running is not None and running.text != request.text:
            raise key_reused()
        return running

    def _started(self, request: TurnRequest, *, is_streamed: bool) -> RunningTurn:
        running = self._running[request.turn_id] = RunningTurn(request.text)
        self._background.start(self._run(request, running, is_streamed=is_streamed))
        return running

    async def _run(self, request: TurnRequest, running: RunningTurn, *, is_streamed: bool) -> None:
        emit = running.progress.put_nowait if is_streamed else None
        try:
            taken = await self._turns.take(request, emit)
            running.succeed(taken.response)
            if taken.afterwards is not None:
                await taken.afterwards()
        except ServiceError as error:
            running.fail(error)
        except asyncio.CancelledError:
            running.fail(stopped())
            raise
        finally:
            running.fail(internal())  # a fault of our own, which the event loop logs: nobody is left waiting
            del self._running[request.turn_id]
