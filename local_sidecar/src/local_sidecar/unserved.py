"""Dapr's other building blocks: routes that exist, of which no component is ever configured here."""

import re

from local_sidecar.errors import ApiError

_UNSERVED = [
    (method, re.compile(path), ApiError(status, code, message))
    for method, path, status, code, message in (
        (
            "GET",
            r"/v1\.0/secrets/[^/]+/[^/]+",
            500,
            "ERR_SECRET_STORES_NOT_CONFIGURED",
            "secret store is not configured",
        ),
        ("POST|PUT", r"/v1\.0/publish/[^/]+/.+", 404, "ERR_PUBSUB_NOT_FOUND", "pubsub is not found"),
        ("POST|PUT", r"/v1\.0/bindings/[^/]+", 500, "ERR_INVOKE_OUTPUT_BINDING", "couldn't find output binding"),
        (
            "GET",
            r"/v1\.0(-alpha1)?/configuration/[^/]+(/subscribe)?",
            500,
            "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
            "configuration stores not configured",
        ),
        (
            "POST",
            r"/v1\.0-alpha1/(un)?lock/[^/]+",
            500,
            "ERR_LOCK_STORE_NOT_CONFIGURED",
            "lock store is not configured",
        ),
        (
            "GET|POST|PUT|DELETE",
            r"/v1\.0/(actors|workflows)/[^/]+/.+",
            400,
            "ERR_ACTOR_NO_PLACEMENT",
            "placement service is not configured",
        ),
    )
]


def refuse_unserved(method: str, route: str) -> None:
    """Raise Dapr's ApiError for a building block that is not configured; return for any other route."""
    for methods, path, error in _UNSERVED:
        if method in methods.split("|") and path.fullmatch(route):
            raise error
