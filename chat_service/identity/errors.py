"""Why a request has no user. The codes of a 401 are RFC 6750's, except for a request without a token, which has none.

https://www.rfc-editor.org/rfc/rfc6750#section-3
"""

from collections.abc import Mapping

from errors import ServiceError


class TokenMissing(ServiceError):
    """The request has no bearer token, and identity is on."""

    status = 401
    code = "token_missing"
    detail = "This path needs a token of the configured issuer: send it as Authorization: Bearer <token>."
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class AuthorizationMalformed(ServiceError):
    """The request has more than one Authorization header, or its bearer token is empty, too long or not a token."""

    status = 401
    code = "invalid_request"
    detail = "Send exactly one Authorization header: the word Bearer, one space and the token."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.headers = _challenge(self)


class InvalidToken(ServiceError):
    """The token is not one that the issuer signed for this service and that is valid now."""

    status = 401
    code = "invalid_token"
    detail = "The token is not a JWT that this service accepts: get a new one from the issuer."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.headers = _challenge(self)


class WrongSignature(InvalidToken):
    """The token was not signed with the key that it names: it is forged, or the issuer has changed the key."""

    detail = "The signature of the token is wrong: get a new one from the issuer."


class UserMismatch(ServiceError):
    """`user_id` does not name the user of the token."""

    status = 403
    code = "user_mismatch"
    detail = "The user_id is not the user of the token: leave it out."


class IssuerUnavailable(ServiceError):
    """The issuer's keys could not be fetched, so it is unknown whether the token is valid."""

    status = 503
    code = "issuer_unavailable"
    detail = "The keys of the token's issuer cannot be fetched now: send the request again after Retry-After seconds."

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after_seconds)})


IDENTITY_ERRORS: tuple[type[ServiceError], ...] = (
    TokenMissing,
    AuthorizationMalformed,
    InvalidToken,
    UserMismatch,
    IssuerUnavailable,
)
"""All of them, for the API's description."""


def _challenge(error: ServiceError) -> Mapping[str, str]:
    """The challenge with RFC 6750's error word. The texts are this module's own, so they need no quoting."""
    return {"WWW-Authenticate": f'Bearer error="{error.code}", error_description="{error.detail}"'}
