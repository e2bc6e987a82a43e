"""How the settings are read."""

from pathlib import Path

import httpx
import pytest

from main import create_app
from settings import load_settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that the tests set or expect to be absent."""
    for name in (
        "DAPR_HTTP_PORT",
        "DAPR_HTTP_ENDPOINT",
        "DAPR_API_TOKEN",
        "APP_API_TOKEN",
        "STATE_STORE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "CORS_ORIGINS",
    ):
        monkeypatch.delenv(name, raising=False)


def test_defaults_are_the_tutorials(tmp_path: Path) -> None:
    """Without any variable the sidecar is at the tutorial's port, and no tokens are used."""
    settings = load_settings(tmp_path / ".env")
    assert settings.sidecar_url == "http://127.0.0.1:3501"
    assert (settings.dapr_api_token, settings.app_api_token, settings.state_store) == (None, None, "statestore")


def test_environment_has_precedence_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the environment overrides the file; an empty one counts as absent."""
    file = tmp_path / ".env"
    file.write_text("DAPR_HTTP_PORT=4001\nDAPR_HTTP_ENDPOINT=\nSTATE_STORE=other\n")
    monkeypatch.setenv("DAPR_HTTP_PORT", "4002")
    settings = load_settings(file)
    assert (settings.sidecar_url, settings.state_store) == ("http://127.0.0.1:4002", "other")


def test_endpoint_overrides_the_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidecar's full address counts before the port; its trailing slash is removed."""
    monkeypatch.setenv("DAPR_HTTP_ENDPOINT", "http://sidecar:3500/")
    assert load_settings(tmp_path / ".env").sidecar_url == "http://sidecar:3500"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DAPR_HTTP_PORT", "0"),
        ("DAPR_HTTP_PORT", "secret"),
        ("DAPR_HTTP_ENDPOINT", "secret"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.test/path"),
        ("CORS_ORIGINS", "https://a.test,b.test"),
    ],
)
def test_bad_setting_is_one_clear_line(name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad setting ends the process with one line that names the variable and not its value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"^agent_memory_service: bad setting: {name}: [^\n]+$") as stopped:
        load_settings(tmp_path / ".env")
    assert "secret" not in str(stopped.value)


TOKENS = ["DAPR_API_TOKEN", "APP_API_TOKEN"]


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("value", ["token-1\n", " token-1", "\ttoken-1\r\n"])
def test_blanks_around_a_token_are_stripped(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was copied with its line end is used without it."""
    monkeypatch.setenv(name, value)
    token = getattr(load_settings(tmp_path / ".env"), name.lower())
    assert token.get_secret_value() == "token-1"


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("value", ["to ken", "to\nken", "to\x01ken", "tok\u00e9n", "  ", "\n"])
def test_token_that_is_no_header_is_refused(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that no header can hold is refused and not shown. A blank one would close or open the service."""
    monkeypatch.setenv(name, value)
    with pytest.raises(
        SystemExit, match=rf"^agent_memory_service: bad setting: {name}: [^\n]+copy it again$"
    ) as stopped:
        load_settings(tmp_path / ".env")
    assert value.strip() == "" or value not in str(stopped.value)


def test_unreadable_file_is_one_clear_line(tmp_path: Path) -> None:
    """A settings file that is not UTF-8 ends the process with one line."""
    file = tmp_path / ".env"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SystemExit, match=r"^agent_memory_service: cannot read [^\n]+$"):
        load_settings(file)


def test_tokens_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text form of the settings, as in a log or a traceback, has no token."""
    monkeypatch.setenv("APP_API_TOKEN", "secret")
    monkeypatch.setenv("DAPR_API_TOKEN", "secret")
    assert "secret" not in repr(load_settings(tmp_path / ".env"))


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("", {"http://localhost:3000", "http://localhost:8010"}),
        ("https://chat.example.com, http://[::1]:3000", {"https://chat.example.com"}),
        ("none", set()),
    ],
)
async def test_origins_are_a_setting(
    value: str, allowed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of the configured origins may call the service; without the setting those of the tutorial."""
    monkeypatch.setenv("CORS_ORIGINS", value)
    transport = httpx.ASGITransport(create_app(load_settings(tmp_path / ".env")))
    async with httpx.AsyncClient(transport=transport, base_url="http://memory") as http:
        for origin in ("http://localhost:3000", "http://localhost:8010", "https://chat.example.com"):
            response = await http.get("/", headers={"origin": origin})
            assert response.headers.get("access-control-allow-origin") == (origin if origin in allowed else None)
