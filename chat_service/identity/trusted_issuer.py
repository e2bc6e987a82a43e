"""The issuer whose tokens the service accepts, as the settings describe it."""

from dataclasses import dataclass
from typing import Self

from settings import Settings


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One OpenID issuer. Its URL is compared character by character with a token's `iss`."""

    url: str
    audiences: tuple[str, ...] = ()
    """A token must name at least one of them."""
    jwks_url: str | None = None
    """Where the keys are; None to find them by discovery."""
    user_claim: str = "sub"
    has_plain_user_ids: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The configured issuer; None if identity is off."""
        if settings.oidc_issuer is None:
            return None
        return cls(
            url=settings.oidc_issuer,
            audiences=settings.oidc_audience,
            jwks_url=settings.oidc_jwks_url,
            user_claim=settings.oidc_user_claim,
            has_plain_user_ids=settings.oidc_plain_user_ids,
        )
