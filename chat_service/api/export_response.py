"""The response that passes an export on while it is read."""

import logging

from fastapi.responses import StreamingResponse
from starlette.types import Send

from errors import MemoryFailure

logger = logging.getLogger("chat_service.api")


class ExportResponse(StreamingResponse):
    """A JSON file of any length.

    If it cannot be read to its end, the connection is cut without an end of the body, so that no client takes it as
    whole.
    """

    media_type = "application/json"

    async def stream_response(self, send: Send) -> None:
        """Send the pieces, or the part of them that could be read."""
        try:
            await super().stream_response(send)
        except MemoryFailure as failure:
            logger.error("export cut short code=%s", failure.code)  # noqa: TRY400 - a stack trace holds contents
