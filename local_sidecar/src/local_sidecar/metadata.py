"""Health and metadata of one sidecar."""

import asyncio
import contextlib
import json

from local_sidecar.errors import ApiError
from local_sidecar.http import JSON_TYPE, NO_CONTENT, Response
from local_sidecar.state_components import StateComponent

VERSION = "local"
PROBE_SECONDS = 0.05
"""Time between two attempts to connect to the app while it starts."""


class SidecarMetadata:
    """The identity of a sidecar, its stores, and whether its app has started."""

    def __init__(self, app_id: str, app_port: int | None, stores: list[StateComponent]) -> None:
        self._app_id = app_id
        self._app_port = app_port
        self._stores = stores
        self._ready = app_port is None

    async def wait_for_app(self) -> None:
        """Become healthy once the app's port is open. As in Dapr, health does not change after that."""
        while not self._ready:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._app_port)
                writer.close()
                self._ready = True
            await asyncio.sleep(PROBE_SECONDS)

    def health(self) -> Response:
        """204. Raises ApiError 500 while the app's port is not open."""
        if not self._ready:
            raise ApiError(500, "ERR_HEALTH_NOT_READY", "dapr is not ready: [app]")
        return NO_CONTENT

    def response(self) -> Response:
        """The metadata in Dapr's shape."""
        fields: dict[str, object] = {"id": self._app_id, "runtimeVersion": VERSION}
        if self._stores:
            fields["components"] = [
                {
                    "name": store.component.name,
                    "type": store.component.type,
                    "version": store.component.version,
                    "capabilities": store.dialect.capabilities,
                }
                for store in self._stores
            ]
        fields["extended"] = {"daprRuntimeVersion": VERSION}
        port = {"port": self._app_port} if self._app_port is not None else {}
        fields["appConnectionProperties"] = {**port, "protocol": "http", "channelAddress": "127.0.0.1"}
        fields["actorRuntime"] = {"runtimeStatus": "DISABLED", "hostReady": False}
        return Response(200, json.dumps(fields).encode(), [JSON_TYPE])
