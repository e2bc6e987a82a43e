"""Service invocation: a call by app id is carried to the app, and the response carried back as it arrives."""

from local_sidecar.errors import no_app_named, not_invoked
from local_sidecar.http import BODY_LIMIT_BYTES, Request, Send
from local_sidecar.invocation.app_response import BrokenConnection
from local_sidecar.invocation.connection import AppConnection
from local_sidecar.invocation.connection_pool import ConnectionPool
from local_sidecar.invocation.headers import accepts_events_only, added_headers
from local_sidecar.invocation.paths import InvalidMethod, app_path, cleaned, decoded, invocation_of
from local_sidecar.invocation.registry import Instance, Registry
from local_sidecar.invocation.relay import BodyTooLarge, NoEvents, relay

APP_ID_HEADER = b"dapr-app-id"


class Invoker:
    """Carries the calls that one app's sidecar gets to the apps of this machine."""

    def __init__(self, own: Instance, registry: Registry) -> None:
        self._own = own
        self._registry = registry
        self._pool = ConnectionPool()

    async def __call__(self, request: Request, send: Send) -> None:
        """Carry one call. Raises ApiError when no app is named or the app cannot be reached."""
        called = _app_and_method(request)
        if called is None:
            raise no_app_named()
        app_id, method = called
        if not all(_is_text(value) for _, value in request.headers):
            raise not_invoked(app_id, "headers that are not UTF-8 cannot reach an app")
        try:
            await self._call(request, send, app_id, app_path(method))
        except InvalidMethod as error:
            raise not_invoked(app_id, str(error)) from error
        except BodyTooLarge as error:
            raise not_invoked(app_id, "stream too large") from error
        except (BrokenConnection, NoEvents) as error:
            raise not_invoked(app_id, f"error invoking app channel: {error}") from error

    async def _call(self, request: Request, send: Send, callee: str, path: str) -> None:
        if int(request.header(b"content-length") or 0) > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        instance, connection = await self._connect(callee)
        added = added_headers(self._own.app_id, callee)
        if instance.app_token:
            added.append((b"dapr-api-token", instance.app_token.encode()))
        as_events = accepts_events_only(request) and callee != self._own.app_id
        try:
            await relay(request, send, connection, path, added, as_events)
        finally:
            self._pool.release(connection)

    async def _connect(self, callee: str) -> tuple[Instance, AppConnection]:
        """The next instance whose app listens, and a connection to it. One that does not listen was sent nothing."""
        why = f"couldn't find service: {callee}"
        instances = [self._own] if callee == self._own.app_id else self._registry.in_turn(callee)
        for instance in instances:
            if instance.app_port is None:
                why = "cannot invoke local endpoint: app channel not initialized"
                continue
            try:
                return instance, await self._pool.acquire(instance.app_port)
            except OSError:
                why = f"error invoking app channel: dial tcp 127.0.0.1:{instance.app_port}: connect: connection refused"
        raise not_invoked(callee, why)


def _app_and_method(request: Request) -> tuple[str, str] | None:
    """App id and method of a call. A `dapr-app-id` header outranks the path."""
    path = decoded(request.raw_path.decode("latin-1"))
    if header := request.header(APP_ID_HEADER):
        return header.decode("latin-1"), cleaned(path).lstrip("/")
    return invocation_of(path)


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
