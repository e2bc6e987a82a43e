"""The errors of the sidecar itself, with Dapr's codes and in Dapr's JSON shape."""

import json


class ApiError(Exception):
    """A request that is refused: HTTP status, Dapr's error code and a text for a person."""

    def __init__(self, status: int, code: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.reason = reason

    def body(self) -> bytes:
        """The JSON of the response. Clients know by `errorCode` that the sidecar responds, and not an app."""
        fields: dict[str, object] = {"errorCode": self.code, "message": self.message}
        if self.reason:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "dapr.io", "reason": self.reason}
            fields["details"] = [info]
        return json.dumps(fields, separators=(",", ":")).encode()


def malformed(message: str, reason: str = "") -> ApiError:
    """400: the request itself is wrong."""
    return ApiError(400, "ERR_MALFORMED_REQUEST", message, reason)


def not_invoked(app_id: str, why: str) -> ApiError:
    """500: the app cannot be reached. The code tells this from a 500 of the app."""
    return ApiError(500, "ERR_DIRECT_INVOKE", f"failed to invoke, id: {app_id}, err: {why}")


def no_app_named() -> ApiError:
    """404: no route of the sidecar matches, and the request names no app."""
    message = "failed getting app id either from the URL path or the header dapr-app-id"
    return ApiError(404, "ERR_DIRECT_INVOKE", message)


def no_secret_store() -> ApiError:
    """500: secrets are not served over HTTP. Components read theirs when the sidecar starts."""
    return ApiError(500, "ERR_SECRET_STORES_NOT_CONFIGURED", "secret store is not configured")
