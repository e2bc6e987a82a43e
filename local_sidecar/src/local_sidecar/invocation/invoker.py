"""Service invocation: a call by app id, carried to the app, and its answer carried back as it arrives."""

from local_sidecar.errors import not_invoked, nowhere
from local_sidecar.http import BODY_LIMIT_BYTES, Request, Send
from local_sidecar.invocation.channel import Channel
from local_sidecar.invocation.forwarding import added_headers
from local_sidecar.invocation.paths import BadMethod, app_path, decoded
from local_sidecar.invocation.pool import Pool
from local_sidecar.invocation.registry import Instance, Registry
from local_sidecar.invocation.relay import BodyTooLarge, relay
from local_sidecar.invocation.replies import NoEvents, wants_events
from local_sidecar.invocation.reply import ChannelBroken
from local_sidecar.invocation.targets import BadTarget, app_of, target_of


class Invoker:
    """Carries the calls of one app's sidecar to the apps of this machine."""

    def __init__(self, own: Instance, registry: Registry) -> None:
        self._own = own
        self._registry = registry
        self._pool = Pool()

    async def __call__(self, request: Request, send: Send) -> None:
        """Carry one call. Raises ApiError when there is no way to the app."""
        target = target_of(request, decoded(request.raw_path.decode("latin-1")))
        if target is None:
            raise nowhere()
        named, method = target
        if request.method == "CONNECT" or not all(_is_text(value) for _, value in request.headers):
            raise not_invoked(named, "neither CONNECT nor headers that are not UTF-8 reach an app")
        try:
            await self._call(request, send, app_of(named), app_path(method))
        except (BadTarget, BadMethod) as problem:
            raise not_invoked(named, str(problem)) from problem
        except BodyTooLarge as problem:
            raise not_invoked(named, "stream too large") from problem
        except (ChannelBroken, NoEvents) as problem:
            raise not_invoked(named, f"error invoking app channel: {problem}") from problem

    async def _call(self, request: Request, send: Send, callee: str, path: str) -> None:
        if int(request.header(b"content-length") or 0) > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        instance, channel = await self._connected(callee)
        added = added_headers(self._own.app_id, callee)
        if instance.app_token:
            added.append((b"dapr-api-token", instance.app_token.encode()))
        try:
            await relay(request, send, channel, path, added, wants_events(request) and callee != self._own.app_id)
        finally:
            self._pool.give_back(channel)

    async def _connected(self, callee: str) -> tuple[Instance, Channel]:
        """An instance that takes the call, in turn; one whose app does not listen is passed over: nothing was sent."""
        why = f"couldn't find service: {callee}"
        instances = [self._own] if callee == self._own.app_id else self._registry.in_turn(callee)
        for instance in instances:
            if instance.app_port is None:
                why = "cannot invoke local endpoint: app channel not initialized"
                continue
            try:
                return instance, await self._pool.channel(instance.app_port)
            except OSError:
                why = f"error invoking app channel: dial tcp 127.0.0.1:{instance.app_port}: connect: connection refused"
        raise not_invoked(callee, why)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
