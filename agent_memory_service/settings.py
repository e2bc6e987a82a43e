"""Everything the environment decides, read once when the service is assembled."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings; each field is the environment variable of its name in capitals.

    Dapr sets the first three for an app it starts; see
    https://docs.dapr.io/reference/environment/ for them and for the tokens.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    dapr_http_port: int = 3501
    """Port of this service's sidecar on 127.0.0.1; the tutorial's when nothing is set."""
    dapr_http_endpoint: str = ""
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
