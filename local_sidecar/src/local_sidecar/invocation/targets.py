"""Which app a request names, and what it wants of it."""

import base64
import binascii
import re
from urllib.parse import unquote_plus

from local_sidecar.http import Request
from local_sidecar.invocation.paths import cleaned

APP_ID_HEADER = b"dapr-app-id"
_INVOCATION = re.compile(r"/+v1\.0/+invoke/+([^/].*?)/method/(.*)", re.DOTALL)


class BadTarget(Exception):
    """No app can be meant by this."""


def target_of(request: Request, path: str) -> tuple[str, str] | None:
    """App id and method: by a header, which outranks the path, or by the decoded path. None: neither names an app."""
    header = (request.header(APP_ID_HEADER) or b"").decode("latin-1") or _app_as_user(request)
    if header:
        return header, cleaned(path).lstrip("/")
    found = _INVOCATION.match(path)
    return (unquote_plus(found[1]), found[2]) if found else None


def app_of(named: str) -> str:
    """The app id without its namespace, of which a machine has one. Raises BadTarget."""
    if named.startswith(("http://", "https://")):
        raise BadTarget(f"{named} is not on this machine: the local sidecar only calls its apps, by app id")
    app_id, *namespaces = named.split(".")
    if not app_id or len(namespaces) > 1:
        raise BadTarget(f"invalid app id {named}")
    return app_id


def _app_as_user(request: Request) -> str:
    """`dapr-app-id:APP` as the user and password of a URL, for clients that can set nothing else."""
    authorization = request.header(b"authorization") or b""
    if not authorization.startswith(b"Basic "):
        return ""
    try:
        name, *rest = base64.b64decode(authorization[6:], validate=True).decode("latin-1").split(":")
    except binascii.Error:
        return ""
    return rest[0] if len(rest) == 1 and name.lower() == APP_ID_HEADER.decode() else ""
