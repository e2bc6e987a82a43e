"""Telling a URL what became of a turn, signed as Standard Webhooks has it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import logging
from datetime import UTC, datetime
from typing import Literal

import httpx
from pydantic import BaseModel
from standardwebhooks import Webhook

from errors import ServiceError
from lifecycle import Background
from models import Response
from settings import Settings

ATTEMPT_TIMEOUT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
_DEFAULT_PORTS = {"http": 80, "https": 443}

log = logging.getLogger("chat_service.callbacks")


class TurnEvent(BaseModel):
    """What the URL is sent: the turn's reply with its final metadata."""

    type: Literal["turn.saved", "turn.not_saved"]
    timestamp: str
    data: Response


def open_callback_http(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The client that callbacks go out by: no proxy, no redirects."""
    return httpx.AsyncClient(
        timeout=ATTEMPT_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False, transport=transport
    )


def check_callback_url(url: str | None, settings: Settings) -> None:
    """Refuse a URL whose host the settings do not allow."""
    if url is None:
        return
    parsed = httpx.URL(url)
    port = parsed.port or _DEFAULT_PORTS[parsed.scheme]
    names = {f"{parsed.host}:{port}"} | ({parsed.host} if port == _DEFAULT_PORTS[parsed.scheme] else set())
    if parsed.userinfo or names.isdisjoint(settings.callback_allowed_hosts):
        raise ServiceError(
            422,
            "callback_not_allowed",
            "Callbacks go to allowed hosts only: leave out callback_url, or have the operator add its host (host:port "
            "where the port is not the default) to CALLBACK_ALLOWED_HOSTS.",
        )


class Callbacks:
    """Delivers turn events, repeated with backoff until one answer is 2xx."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings, background: Background) -> None:
        self._http = http
        self._attempts = settings.callback_attempts
        self._background = background
        secret = settings.callback_secret
        self._signer = None if secret is None else Webhook(secret.get_secret_value())

    async def tell(self, url: str, response: Response) -> None:
        """Send the turn's final state to `url`; the webhook's id is the turn's, the same in every attempt."""
        outcome: Literal["turn.saved", "turn.not_saved"] = (
            "turn.saved" if response.metadata.history == "saved" else "turn.not_saved"
        )
        event = TurnEvent(type=outcome, timestamp=response.metadata.timestamp, data=response)
        body = event.model_dump_json(exclude_none=True)
        turn_id = response.metadata.turn_id
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, self._attempts + 1):
            is_last = self._background.is_stopping or attempt == self._attempts
            status = await self._post(url, turn_id, body)
            if status is not None and 200 <= status < 300:
                log.info("callback delivered turn_id=%s attempt=%d", turn_id, attempt)
                return
            if is_last or status == 410:  # Gone: the receiver wants no more
                log.warning("callback not delivered turn_id=%s attempts=%d status=%s", turn_id, attempt, status)
                return
            await self._background.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _post(self, url: str, turn_id: str, body: str) -> int | None:
        """The answer's status; None where there was no answer."""
        if self._signer is None:
            return None
        sent_at = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": turn_id,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": self._signer.sign(turn_id, sent_at, body),
        }
        try:
            async with self._http.stream("POST", url, content=body, headers=headers) as answer:
                return answer.status_code
        except httpx.HTTPError:
            return None
