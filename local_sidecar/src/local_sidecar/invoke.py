"""Service invocation: a call by app id, carried to the app, and its answer carried back as it arrives."""

from .channel import Channel, ChannelBroken
from .errors import not_invoked, nowhere
from .forwarding import added
from .http import BODY_LIMIT_BYTES, Request, Send
from .paths import BadMethod, app_path, decoded, target_of
from .pool import Pool
from .registry import Instance, Registry
from .relay import BodyTooLarge, relay


class Invoker:
    """Carries the calls of one app's sidecar to the apps of this machine."""

    def __init__(self, app_id: str, registry: Registry) -> None:
        self._app_id = app_id
        self._registry = registry
        self._pool = Pool()

    async def __call__(self, request: Request, send: Send) -> None:
        """Carry one call. Raises ApiError when there is no way to the app."""
        by_header = (request.header(b"dapr-app-id") or b"").decode("latin-1")
        target = target_of(decoded(request.raw_path.decode("latin-1")), by_header)
        if target is None:
            raise nowhere()
        named, method = target
        try:
            await self._call(request, send, named.partition(".")[0], app_path(method))
        except BadMethod as problem:
            raise not_invoked(named, str(problem)) from problem
        except BodyTooLarge as problem:
            raise not_invoked(named, "stream too large") from problem
        except ChannelBroken as problem:
            raise not_invoked(named, f"error invoking app channel: {problem}") from problem

    async def _call(self, request: Request, send: Send, callee: str, path: str) -> None:
        if int(request.header(b"content-length") or 0) > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        instance, channel = await self._connected(callee)
        try:
            await relay(request, send, channel, path, added(self._app_id, callee, instance.app_token))
        finally:
            self._pool.give_back(channel)

    async def _connected(self, callee: str) -> tuple[Instance, Channel]:
        """An instance that takes the call, in turn; one whose app does not listen is passed over: nothing was sent."""
        why = f"couldn't find service: {callee}"
        for instance in self._registry.in_turn(callee):
            if instance.app_port is None:
                why = "app channel is not initialized"
                continue
            try:
                return instance, await self._pool.channel(instance.app_port)
            except OSError:
                why = f"error invoking app channel: dial tcp 127.0.0.1:{instance.app_port}: connect: connection refused"
        raise not_invoked(callee, why)
