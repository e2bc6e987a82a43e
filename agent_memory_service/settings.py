"""Everything the environment decides, read once when the service is assembled."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings; each field is the environment variable of its name in capitals.

    Dapr sets the ports and the address for an app it starts; see https://docs.dapr.io/reference/environment/ for them
    and for the tokens.
    """

    model_config = SettingsConfigDict(
        env_file=Path(__file__).parent / ".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    dapr_http_port: int = Field(default=3501, ge=1, le=65535)
    """Port of this service's sidecar on 127.0.0.1; the tutorial's when nothing is set."""
    dapr_http_endpoint: str = Field(default="", pattern=r"^(https?://[^\s/:]+(:[0-9]{1,5})?/?)?$")
    """The sidecar's whole address, when it is not on this machine; overrides the port."""
    dapr_api_token: str = ""
    """Sent to the sidecar as `dapr-api-token` when set."""
    app_api_token: str = ""
    """Demanded of callers as `dapr-api-token` when set: Dapr then adds it, so only calls through a sidecar come in."""
    state_store: str = "statestore"
    """Name of the Dapr component that keeps the memory."""

    @property
    def sidecar_url(self) -> str:
        """Where the sidecar's HTTP API is, without a trailing slash."""
        return self.dapr_http_endpoint.rstrip("/") or f"http://127.0.0.1:{self.dapr_http_port}"


def load() -> Settings:
    """The settings, or one clear line on stderr and exit code 1."""
    try:
        return Settings()
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors())
        raise SystemExit(f"agent_memory_service: bad setting: {reasons}") from None
