"""Notifies a URL of a turn's final state, signed as Standard Webhooks specifies.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import httpx
from pydantic import BaseModel, HttpUrl
from standardwebhooks import Webhook

from errors import CallbackNotAllowed
from lifecycle import BackgroundTasks
from models import HistoryState, Response
from settings import Settings

ATTEMPT_TIMEOUT_SECONDS = 5.0
"""Time limit of one attempt, in seconds. A receiver should confirm first and work later."""
FIRST_PAUSE_SECONDS = 0.5
"""Pause in seconds before the first retry; it doubles for each further retry. A restart takes about that long."""
LONGEST_PAUSE_SECONDS = 30.0
"""Longest pause between two attempts, in seconds. A receiver that is back does not wait longer than that."""

EventType = Literal["turn.saved", "turn.not_saved", "turn.unknown"]

_DEFAULT_PORTS = {"http": 80, "https": 443}

logger = logging.getLogger("chat_service.callbacks")


class TurnEvent(BaseModel):
    """The body of a callback: the turn's reply with its final metadata."""

    type: EventType
    timestamp: str
    data: Response


def open_callback_http(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The HTTP client for callbacks. It uses no proxy and follows no redirects, so it reaches allowed hosts only."""
    return httpx.AsyncClient(
        timeout=ATTEMPT_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False, transport=transport
    )


def check_callback_url(url: str | None, settings: Settings) -> None:
    """Raises CallbackNotAllowed if the settings do not allow the URL's host, or if the URL carries credentials."""
    if url is None:
        return
    parsed = HttpUrl(url)
    host = parsed.host or ""  # in ASCII, as in the settings: httpx would decode it, and fail for an emoji
    names = {f"{host}:{parsed.port}"} | ({host} if parsed.port == _DEFAULT_PORTS[parsed.scheme] else set())
    if parsed.username or parsed.password or names.isdisjoint(settings.callback_allowed_hosts):
        raise CallbackNotAllowed


class Callbacks:
    """Delivers turn events. It retries with backoff until a response is 2xx, for a limited number of attempts."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings, background: BackgroundTasks) -> None:
        self._http = http
        self._max_attempts = settings.callback_attempts
        self._background = background
        secret = settings.callback_secret
        self._signer = None if secret is None else Webhook(secret.get_secret_value())

    def notify(self, url: str, response: Response) -> None:
        """Deliver the turn's final state to `url` in a background task."""
        self._background.start(self._deliver(url, response))

    async def _deliver(self, url: str, response: Response) -> None:
        turn_id, body = response.metadata.turn_id, _event(response).model_dump_json(exclude_none=True)
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, self._max_attempts + 1):
            is_last = self._background.is_stopping or attempt == self._max_attempts
            status = await self._post(url, turn_id, body)
            if status is not None and 200 <= status < 300:
                logger.info("callback delivered turn_id=%s attempt=%d", turn_id, attempt)
                return
            if is_last or status == 410:  # Gone: the receiver asks for no more callbacks
                logger.warning("callback not delivered turn_id=%s attempts=%d status=%s", turn_id, attempt, status)
                return
            await self._background.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _post(self, url: str, turn_id: str, body: str) -> int | None:
        """The response's status; None if there was no response. The webhook's id is the turn's in every attempt."""
        if self._signer is None:
            return None
        sent_at = datetime.now(UTC)
        headers = {
            "host": httpx.URL(url).netloc.decode(),  # httpx would decode a punycode host for it, and fail for an emoji
            "content-type": "application/json",
            "webhook-id": turn_id,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": self._signer.sign(turn_id, sent_at, body),
        }
        try:
            async with self._http.stream("POST", url, content=body, headers=headers) as response:
                return response.status_code
        except httpx.HTTPError:
            return None


_EVENT_TYPES: Mapping[HistoryState, EventType] = {
    "saved": "turn.saved",
    "not_saved": "turn.not_saved",
    "unknown": "turn.unknown",
}


def _event(response: Response) -> TurnEvent:
    metadata = response.metadata
    return TurnEvent(type=_EVENT_TYPES[metadata.history], timestamp=metadata.timestamp, data=response)
