"""Notifies a URL of a turn's final state, signed as Standard Webhooks specifies.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import httpx
from pydantic import BaseModel
from standardwebhooks import Webhook

from callback_urls import origin_of
from errors import TooManyCallbacks
from http_clients import no_cookies
from lifecycle import BackgroundTasks
from metrics import CallbackOutcome, Metrics
from models import HistoryState, Response
from settings import Settings
from slots import Slots
from tracing import traced

ATTEMPT_TIMEOUT_SECONDS = 5.0
"""Time limit of one attempt as a whole, in seconds, however slowly the receiver sends its response. A receiver should
confirm first and work later."""
MAX_CONNECTIONS_PER_RECEIVER = 8
"""Largest number of connections to one receiver at once. One that confirms in 50 ms takes 160 callbacks a second."""
MAX_PENDING_CALLBACKS = 500
"""Largest number of turns with a callback to one receiver that are running or whose callback is not delivered yet; then
503. Each holds its reply in memory."""
FIRST_PAUSE_SECONDS = 0.5
"""Pause in seconds before the first retry; it doubles for each further retry. A restart takes about that long."""
LONGEST_PAUSE_SECONDS = 30.0
"""Longest pause between two attempts, in seconds. A receiver that is back does not wait longer than that."""

EventType = Literal["turn.saved", "turn.not_saved", "turn.unknown"]

logger = logging.getLogger("chat_service.callbacks")


class TurnEvent(BaseModel):
    """The body of a callback: the turn's reply with its final metadata."""

    type: EventType
    timestamp: str
    data: Response


def open_callback_http(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The HTTP client for callbacks. It uses no proxy and follows no redirects, so it reaches allowed hosts only."""
    return httpx.AsyncClient(
        timeout=ATTEMPT_TIMEOUT_SECONDS,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=MAX_CONNECTIONS_PER_RECEIVER),
        cookies=no_cookies(),
        follow_redirects=False,
        trust_env=False,
        transport=transport,
    )


class Receiver:
    """A host that receives callbacks. A slow one has its own connections, so that it delays no other."""

    def __init__(self) -> None:
        self.pending = Slots(MAX_PENDING_CALLBACKS, TooManyCallbacks)
        self.connections = asyncio.Semaphore(MAX_CONNECTIONS_PER_RECEIVER)


class Callbacks:
    """Delivers turn events. It retries with backoff until a response is 2xx, for a limited number of attempts."""

    def __init__(
        self, http: httpx.AsyncClient, settings: Settings, background: BackgroundTasks, metrics: Metrics
    ) -> None:
        self._http = http
        self._max_attempts = settings.callback_attempts
        self._background = background
        self._metrics = metrics
        self._receivers: dict[str, Receiver] = {}  # at most two for each allowed host: http and https
        secret = settings.callback_secret
        self._signer = None if secret is None else Webhook(secret.get_secret_value())

    def reserve(self, url: str) -> "PendingCallback":
        """A callback to this URL, to be delivered or dropped later. Raises TooManyCallbacks."""
        receiver = self._receivers.setdefault(origin_of(url), Receiver())
        receiver.pending.take()
        return PendingCallback(self, url, receiver)

    def start(self, url: str, receiver: Receiver, response: Response) -> None:
        """Deliver the turn's final state in a background task, then give back its slot at the receiver."""
        self._background.start(self._deliver(url, receiver, response))

    def drop(self, receiver: Receiver) -> None:
        """Send nothing, and give back the slot at the receiver."""
        receiver.pending.give_back()
        self._metrics.callback_ended("dropped")

    async def _deliver(self, url: str, receiver: Receiver, response: Response) -> None:
        turn_id = response.metadata.turn_id
        outcome: CallbackOutcome = "not_delivered"
        try:
            attempts, status = await self._attempt(url, receiver, _event(response))
            outcome = "delivered" if _is_delivered(status) else "not_delivered"
        finally:
            receiver.pending.give_back()
            self._metrics.callback_ended(outcome)
        if _is_delivered(status):
            logger.info("callback delivered turn_id=%s attempt=%d", turn_id, attempts)
        else:
            logger.warning("callback not delivered turn_id=%s attempts=%d status=%s", turn_id, attempts, status)

    @traced("callback")
    async def _attempt(self, url: str, receiver: Receiver, event: TurnEvent) -> tuple[int, int | None]:
        """The number of attempts made, and the status of the last one.

        An event has one id in every attempt. Another outcome of its turn has another: a receiver drops repetitions.
        """
        event_id = f"{event.data.metadata.turn_id}.{event.type}"
        body = event.model_dump_json(exclude_none=True)
        pause = FIRST_PAUSE_SECONDS
        attempt = 1
        while True:
            is_last = self._background.is_stopping or attempt == self._max_attempts
            async with receiver.connections:
                status = await self._post(url, event_id, body)
            if is_last or _is_delivered(status) or status == 410:  # Gone: the receiver asks for no more callbacks
                return attempt, status
            await self._background.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            attempt += 1

    async def _post(self, url: str, event_id: str, body: str) -> int | None:
        """The response's status; None if there was no response."""
        if self._signer is None:
            return None
        sent_at = datetime.now(UTC)
        headers = {
            "host": httpx.URL(url).netloc.decode(),  # httpx would decode a punycode host for it, and fail for an emoji
            "content-type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": self._signer.sign(event_id, sent_at, body),
        }
        try:
            async with (
                asyncio.timeout(ATTEMPT_TIMEOUT_SECONDS),
                self._http.stream("POST", url, content=body, headers=headers) as response,
            ):
                return response.status_code
        except (httpx.HTTPError, OSError):  # TimeoutError is an OSError
            return None


@dataclass(frozen=True)
class PendingCallback:
    """A callback whose turn is still running."""

    callbacks: Callbacks
    url: str
    receiver: Receiver

    def deliver(self, response: Response) -> None:
        """Deliver the turn's final state in a background task."""
        self.callbacks.start(self.url, self.receiver, response)

    def drop(self) -> None:
        """Send nothing: the turn gave no reply."""
        self.callbacks.drop(self.receiver)


_EVENT_TYPES: Mapping[HistoryState, EventType] = {
    "saved": "turn.saved",
    "not_saved": "turn.not_saved",
    "unknown": "turn.unknown",
}


def _is_delivered(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def _event(response: Response) -> TurnEvent:
    metadata = response.metadata
    return TurnEvent(type=_EVENT_TYPES[metadata.history], timestamp=metadata.timestamp, data=response)
