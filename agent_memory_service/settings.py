"""The settings of the service, read from the environment once, when the app is created."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_FILE = Path(__file__).parent / ".env"
"""Optional file with settings. A variable of the environment has precedence over the file."""
_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def _sendable(token: SecretStr) -> SecretStr:
    """The token without the blanks around it that copying adds. Raises ValueError if a header cannot hold the rest."""
    text = token.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has nothing, a blank, a line end or a character beyond ASCII in it: copy it again")
    return SecretStr(text)


Token = Annotated[SecretStr, AfterValidator(_sendable)]


class Settings(BaseSettings):
    """The service's settings; each field is the environment variable of the same name in capitals.

    Dapr sets the ports, the address and the tokens for an app that it starts:
    https://docs.dapr.io/reference/environment/
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    dapr_http_port: int = Field(default=3501, ge=1, le=65535)
    """Port of this service's sidecar on 127.0.0.1. The default is the tutorial's port."""
    dapr_http_endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s/:]+(:[0-9]{1,5})?/?$")
    """Full address of the sidecar, for a sidecar on another machine. It overrides the port."""
    dapr_api_token: Token | None = None
    """The sidecar's token. If set, this service sends it with each call to its sidecar, in the header `dapr-api-token`.
    """
    app_api_token: Token | None = None
    """This service's own token, another one than the sidecar's. If set, each request that arrives must have it, in a
    header that is also called `dapr-api-token`. Dapr adds it to the calls it delivers, so only calls through a sidecar
    are accepted."""
    state_store: str = "statestore"
    """Name of the Dapr component that stores the memory."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("http://localhost:3000", "http://localhost:8010")
    """Comma-separated origins whose web pages may call the service; `none` for none. The default is the tutorial's."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value == ("none",):
            return ()
        if wrong := [origin for origin in value if _ORIGIN.fullmatch(origin) is None]:
            raise ValueError(f"must be origins such as https://chat.example.com, without a path or *: not {wrong[0]!r}")
        return value

    otel_exporter_otlp_endpoint: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Where spans go by OTLP over HTTP, for example http://localhost:4318. Without it no spans are made."""
    otel_service_name: str = "agent-memory-service"
    """The name of this service in its spans."""

    @property
    def sidecar_url(self) -> str:
        """The base URL of the sidecar's HTTP API, without a trailing slash."""
        return (self.dapr_http_endpoint or f"http://127.0.0.1:{self.dapr_http_port}").rstrip("/")


def load_settings(env_file: Path = ENV_FILE) -> Settings:
    """Read the settings. A bad one ends the process: one clear line on stderr and exit code 1."""

    class SettingsFromFile(Settings):
        model_config = SettingsConfigDict(env_file=env_file, env_file_encoding="utf-8")

    try:
        return SettingsFromFile()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"agent_memory_service: cannot read {env_file}: {error}") from None
    except ValidationError as error:
        raise SystemExit(f"agent_memory_service: bad setting: {_in_one_line(error)}") from None


def _in_one_line(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])).upper()}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors()
    )
