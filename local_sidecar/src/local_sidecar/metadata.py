"""What the sidecar says of itself: health and metadata."""

import asyncio
import contextlib
import json

from local_sidecar.components import Component
from local_sidecar.errors import ApiError
from local_sidecar.http import EMPTY, JSON_TYPE, Answer, Request

VERSION = "local"
PROBE_SECONDS = 0.05  # how often the app's port is tried until it is open
CAPABILITIES = ["ETAG", "TRANSACTIONAL", "TTL"]


class About:
    """Health and metadata of one app's sidecar."""

    def __init__(self, app_id: str, app_port: int | None, stores: list[Component]) -> None:
        self._app_id = app_id
        self._app_port = app_port
        self._stores = stores
        self._ready = app_port is None
        self._extended = {"daprRuntimeVersion": VERSION}

    async def wait_for_app(self) -> None:
        """Become healthy once the app's port is open; Dapr does not look again after that."""
        while not self._ready:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._app_port)
                writer.close()
                self._ready = True
            await asyncio.sleep(PROBE_SECONDS)

    def health(self, request: Request) -> Answer:
        """204, or why not: the app's port is not open yet, or another app is meant."""
        if not self._ready:
            raise ApiError(500, "ERR_HEALTH_NOT_READY", "dapr is not ready: [app]")
        if request.query_values().get("appid", self._app_id) != self._app_id:
            raise ApiError(500, "ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match")
        return EMPTY

    def metadata(self) -> Answer:
        """What runs here, in Dapr's shape."""
        about: dict[str, object] = {"id": self._app_id, "runtimeVersion": VERSION}
        if self._stores:
            about["components"] = [
                {"name": store.name, "type": store.type, "version": store.version, "capabilities": CAPABILITIES}
                for store in self._stores
            ]
        about["extended"] = self._extended
        port = {"port": self._app_port} if self._app_port is not None else {}
        about["appConnectionProperties"] = {**port, "protocol": "http", "channelAddress": "127.0.0.1"}
        about["actorRuntime"] = {"runtimeStatus": "DISABLED", "hostReady": False}
        return Answer(200, json.dumps(about).encode(), [JSON_TYPE])

    def extend(self, name: str, value: bytes) -> Answer:
        """Add an entry to the metadata."""
        self._extended[name] = value.decode("utf-8", "replace")
        return EMPTY
