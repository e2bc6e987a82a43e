"""The settings that decide who may call the service: the OpenID issuer, and the web pages of other origins."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""The hosts that may be called without TLS, because they are on this machine."""
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def is_safe_url(url: str) -> bool:
    """Whether nobody on the way can exchange what is fetched from the URL: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a port
    except ValueError:
        return False
    if parts.username is not None or any(character.isspace() for character in url):
        return False
    return parts.hostname is not None and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
    )


class IdentitySettings(BaseSettings):
    """The part of the settings that concerns identity. Identity is on if OIDC_ISSUER is set."""

    oidc_issuer: str | None = None
    """URL of the OpenID issuer whose tokens are accepted, exactly as its tokens spell it in `iss`."""
    oidc_audience: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated; a token must name at least one of them in `aud`."""
    oidc_jwks_url: str | None = None
    """URL of the issuer's keys, if the issuer offers no discovery."""
    oidc_user_claim: str = Field(default="sub", pattern=r'^[^\s"\\]{1,200}$')
    """The claim that names the user. It must be unique and never change its owner."""
    oidc_plain_user_ids: bool = False
    """Use a subject that is a valid user id as it is. Safe only if this is the only issuer of the memory, for ever."""

    oidc_claim_sessions: bool = False
    """A signed-in user may read and take over a session without an owner, which the tutorial's code wrote."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("http://localhost:3000",)
    """Comma-separated origins whose web pages may call the service with a person's credentials; `none` for none."""

    @property
    def owner_required(self) -> bool:
        """Whether sessions without an owner are refused."""
        return self.oidc_issuer is not None and not self.oidc_claim_sessions

    @field_validator("oidc_audience", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and (not is_safe_url(value) or "#" in value):
            raise ValueError("must be an https URL without credentials; http is accepted for this machine only")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value == ("none",):
            return ()
        if wrong := [origin for origin in value if _ORIGIN.fullmatch(origin) is None]:
            raise ValueError(f"must be origins such as https://chat.example.com, without a path or *: not {wrong[0]!r}")
        return value

    @model_validator(mode="after")
    def _identity_is_complete(self) -> "IdentitySettings":
        if self.oidc_issuer is not None and not self.oidc_audience:
            raise ValueError(
                "OIDC_ISSUER is set: set OIDC_AUDIENCE too, or tokens for other services would be accepted"
            )
        if self.oidc_issuer is None and self.model_fields_set & {"oidc_audience", "oidc_jwks_url", "oidc_user_claim"}:
            raise ValueError("an OIDC_ setting is set without OIDC_ISSUER: identity would be off")
        return self
