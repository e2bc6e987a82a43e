"""One running turn and what waits for it: requests, a stream, callbacks."""

import asyncio
from typing import Any

from callbacks import Callbacks, PendingCallback
from errors import ServiceError
from models import Response
from turn.live_turn import LiveTurn
from turn.replies import unknown_response
from turn.request import TurnRequest


class RunningTurn:
    """A running turn: its future response, its outcome, its progress if it is streamed, and its callbacks."""

    def __init__(self, text: str, *, is_streamed: bool) -> None:
        self.text = text
        self.live = LiveTurn(is_streamed)
        self._callbacks: dict[str, PendingCallback] = {}
        self._response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._outcome: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        """The response once its save has ended."""
        self._response.add_done_callback(self._end_progress)

    async def response(self, request: TurnRequest | None = None) -> Response:
        """Wait for the request's response; without a request for the outcome. Raises ServiceError if it failed."""
        return await asyncio.shield(self._outcome if request is None else self._awaited(request))

    async def begins_within(self, seconds: float, request: TurnRequest) -> bool:
        """Whether there is an event to send for the request within this time: progress, or its response."""
        awaited = self._awaited(request)
        begun = asyncio.create_task(self.live.progress.begin())
        either: set[asyncio.Future[Any]] = {awaited, begun}
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return begun.done() or awaited.done()
        finally:
            begun.cancel()

    def add_callback(self, url: str | None, callbacks: Callbacks) -> None:
        """Notify this URL too. Each URL is notified once. Raises TooManyCallbacks."""
        if url is not None and url not in self._callbacks:
            self._callbacks[url] = callbacks.reserve(url)

    def succeed(self, response: Response) -> None:
        """Give the turn its response."""
        self._response.set_result(response)

    def end(self, outcome: Response) -> None:
        """Give the turn its outcome."""
        self._outcome.set_result(outcome)

    def fail(self, error: ServiceError) -> None:
        """Fail the turn; no effect if it has ended. A turn with its response keeps it, and its outcome is unknown."""
        if self._outcome.done():
            return
        if not self._response.done():
            self._response.set_exception(error)
            self._outcome.set_exception(error)
            self._outcome.exception()
        else:
            self._outcome.set_result(unknown_response(self._response.result(), error.code))

    def notify(self) -> None:
        """Deliver the turn's callbacks, if it has an outcome."""
        for callback in self._callbacks.values():
            if self._outcome.exception() is None:
                callback.deliver(self._outcome.result())
            else:
                callback.drop()

    def _awaited(self, request: TurnRequest) -> asyncio.Future[Response]:
        """What the request waits for: the reply if a callback reports the outcome, otherwise the outcome."""
        return self._outcome if request.callback_url is None else self._response

    def _end_progress(self, response: asyncio.Future[Response]) -> None:
        response.exception()  # marks the exception as retrieved, for the case that no client waits any more
        self.live.progress.end()
