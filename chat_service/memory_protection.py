"""Warns at start if identity is on and the memory service lets anybody in. Then tokens would protect nothing."""

import logging

from errors import MemoryFailure
from lifecycle import BackgroundTasks
from memory_client import MemoryClient

RETRY_SECONDS = 5.0
"""Pause in seconds before the memory service is asked again. It is often started after this service."""

logger = logging.getLogger("chat_service.identity")


async def warn_if_unprotected(memory: MemoryClient, background: BackgroundTasks) -> None:
    """Ask the memory service whether it demands APP_API_TOKEN, until it responds, and log a warning if it does not."""
    while not background.is_stopping:
        try:
            rule = await memory.caller_rule()
        except MemoryFailure:
            await background.pause(RETRY_SECONDS)
            continue
        if not rule.app_token_required:
            logger.warning(
                "identity is on, but the memory service accepts calls without APP_API_TOKEN: whoever reaches its port "
                "reads and changes everyone's memory. Set APP_API_TOKEN for it and for its sidecar"
            )
        return
