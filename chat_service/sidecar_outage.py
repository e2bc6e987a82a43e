"""Logs the address of a sidecar that accepts no connection: once for each outage, not once for each call."""

import logging

logger = logging.getLogger("chat_service.memory")


class SidecarOutage:
    """Whether the sidecar accepts connections, as the last call has shown."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_on = False

    def begin(self) -> None:
        """A connection was not made."""
        if not self._is_on:
            logger.warning("no sidecar at %s: `make run` starts this service together with its sidecar", self._address)
        self._is_on = True

    def end(self) -> None:
        """The sidecar sent a response."""
        self._is_on = False
