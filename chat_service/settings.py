"""The service's settings: from the environment, then from `.env` in this folder, then the defaults below."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict, SettingsError

from identity_settings import IdentitySettings
from setting_types import Hosts, Key, SigningSecret, Url

ENV_FILE = Path(__file__).parent / ".env"
"""Read where the environment does not set a value."""
GEMINI_BASE_URL = "https://generativelanguage.googleapis.com/v1beta/openai/"
"""Gemini's OpenAI-compatible endpoint, used when only GEMINI_API_KEY is set, as in the tutorial."""
OPENAI_BASE_URL = "https://api.openai.com/v1"
"""The endpoint used when LLM_API_KEY is set without LLM_BASE_URL."""
DEFAULT_MODEL = "gemini-3.8-flash"
"""A model of Gemini's. Any other endpoint needs LLM_MODEL."""

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(IdentitySettings):
    """The service's settings; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    gemini_api_key: Key = None
    llm_base_url: Url | None = None
    llm_api_key: Key = None
    llm_model: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = DEFAULT_MODEL
    openai_api_key: SecretStr | None = None
    """Not used, so that a key of another program is never sent anywhere. If it is set, a line at the start says so."""

    dapr_http_port: int = Field(default=3500, ge=1, le=65535)
    dapr_http_endpoint: Url | None = None
    dapr_api_token: Key = None
    memory_app_id: str = Field(default="agent-memory-service", pattern=r"^[A-Za-z0-9._-]+$")

    turn_timeout_seconds: Seconds = 60.0
    """Time limit of a whole turn: memory read, model and save. A late reply still has a second to be saved."""
    save_timeout_seconds: Seconds = 6.0
    """How long a save is retried before the reply is sent as not saved. A slow attempt and a second one fit."""
    shutdown_timeout_seconds: Seconds = 10.0
    """Time for running turns, pending saves and callbacks to finish when the service stops."""
    max_running_turns: int = Field(default=256, ge=1, le=100_000)
    """Largest number of turns that run at once, also those whose client has left; then 503. The model's pool of
    connections has as many, and with a connection of a client each they stay below the usual 1,024 open files."""
    max_open_streams: int = Field(default=256, ge=1, le=100_000)
    """Largest number of streamed responses at once; then 503. An open stream takes about 75 KB."""
    max_waiting_requests: int = Field(default=256, ge=1, le=100_000)
    """Largest number of other requests that wait for a reply at once, and of those that stop a turn; then 503."""
    context_budget_chars: int = Field(default=32_000, ge=1_000, le=10_000_000)
    """Characters of earlier messages given verbatim to the model. The longest message and as long a reply fit."""

    callback_allowed_hosts: Hosts = ()
    """Comma-separated `host` or `host:port` that `callback_url` may contain; none by default."""
    callback_secret: SigningSecret = None
    """Signs the callbacks: `whsec_` and base64, as Standard Webhooks specifies."""
    callback_save_timeout_seconds: Seconds = 60.0
    """How long the save of a turn with a callback is retried."""
    callback_attempts: int = Field(default=5, ge=1, le=20)
    """Largest number of attempts to deliver a callback."""

    otel_exporter_otlp_endpoint: Url | None = None
    """Where spans go by OTLP over HTTP, for example http://localhost:4318. Without it no spans are made."""
    otel_service_name: str = "chat-service"
    """The name of this service in its spans."""

    @model_validator(mode="after")
    def _endpoint_has_its_model(self) -> "Settings":
        if (self.llm_base_url or self.llm_api_key) and "llm_model" not in self.model_fields_set:
            raise ValueError(f"LLM_BASE_URL or LLM_API_KEY is set: set LLM_MODEL too ({DEFAULT_MODEL} is Gemini's)")
        return self

    @model_validator(mode="after")
    def _callbacks_are_signed(self) -> "Settings":
        if self.callback_allowed_hosts and self.callback_secret is None:
            raise ValueError("CALLBACK_ALLOWED_HOSTS needs CALLBACK_SECRET (whsec_...) to sign the callbacks")
        return self

    @property
    def sidecar_url(self) -> str:
        """The address of this service's Dapr sidecar, without a trailing slash."""
        return (self.dapr_http_endpoint or f"http://127.0.0.1:{self.dapr_http_port}").rstrip("/")


def load_settings(env_file: Path = ENV_FILE) -> Settings:
    """The settings, or one clear line on stderr and exit code 1."""

    class FromFile(Settings):
        model_config = SettingsConfigDict(env_file=env_file, env_file_encoding="utf-8")

    try:
        if env_file.exists():
            env_file.read_text(encoding="utf-8")  # pydantic-settings ignores what is not a regular file
        return FromFile()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"chat_service: cannot read {env_file}: {error}") from None
    except SettingsError as error:
        raise SystemExit(f"chat_service: bad setting: {error}") from None
    except ValidationError as error:
        raise SystemExit(f"chat_service: bad setting: {_in_one_line(error)}") from None


def _in_one_line(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])).upper()} {item['msg'].removeprefix('Value error, ')}".strip()
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
