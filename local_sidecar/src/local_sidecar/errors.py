"""What the sidecar answers when it cannot do what was asked, in Dapr's codes and shape."""

import json


class ApiError(Exception):
    """A refusal: HTTP status, Dapr's error code and a text for a person."""

    def __init__(self, status: int, code: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.reason = reason

    def body(self) -> bytes:
        """The JSON that Dapr's clients look for: `errorCode` tells it from an app's own answer."""
        answer: dict[str, object] = {"errorCode": self.code, "message": self.message}
        if self.reason:
            info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "dapr.io", "reason": self.reason}
            answer["details"] = [info]
        return json.dumps(answer).encode()


def malformed(message: str, reason: str = "") -> ApiError:
    """The request itself is wrong: 400."""
    return ApiError(400, "ERR_MALFORMED_REQUEST", message, reason)


def not_invoked(app_id: str, why: str) -> ApiError:
    """The way to the app is broken: 500, told from the app's own 500 by the code."""
    return ApiError(500, "ERR_DIRECT_INVOKE", f"failed to invoke, id: {app_id}, err: {why}")


def nowhere() -> ApiError:
    """No route of the sidecar and no app named: 404."""
    return ApiError(
        404, "ERR_DIRECT_INVOKE", "failed getting app id either from the URL path or the header dapr-app-id"
    )
