"""What the operator sets wrong is refused or reported at the start, in one sentence; nothing fails later for it."""

import logging
import re
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from agent.chat_agent import ChatAgent
from agent.context import RunContext
from agent.provider import choose_provider
from agent.tools import TOOLS
from main import create_app
from setting_hints import setting_hints
from settings import Settings, load_settings
from tests.unused_memory import unused_memory

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEYS = ["GEMINI_API_KEY", "LLM_API_KEY", "DAPR_API_TOKEN"]


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """The path of a service's `.env`, which does not exist."""
    (tmp_path / "chat_service").mkdir()
    return tmp_path / "chat_service" / ".env"


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("value", ["k-1\n", " k-1", "k-1\r\n", "\tk-1 "])
def test_blanks_around_a_key_are_stripped(
    name: str, value: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was copied with its line end is used without it."""
    monkeypatch.setenv("LLM_MODEL", "m")
    monkeypatch.setenv(name, value)
    key = getattr(load_settings(env_file), name.lower())
    assert key.get_secret_value() == "k-1"


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("value", ["k 1", "k\n1", "k\x011", "ké", "k\x7f", "k\u200b1"])
def test_key_that_is_no_header_is_refused(
    name: str, value: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key with a blank, a line end or a character beyond ASCII in it is refused, and not shown."""
    monkeypatch.setenv("LLM_MODEL", "m")
    monkeypatch.setenv(name, value)
    with pytest.raises(
        SystemExit, match=rf"^chat_service: bad setting: {name} has a blank[^\n]*copy the key again$"
    ) as it:
        load_settings(env_file)
    assert value not in str(it.value)


@pytest.mark.parametrize("value", ["  ", "\n"])
def test_blank_key_counts_as_unset(value: str, env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of blanks is no key."""
    monkeypatch.setenv("GEMINI_API_KEY", value)
    assert choose_provider(load_settings(env_file)).is_offline


@pytest.mark.parametrize(
    "value",
    [
        "secret",
        SECRET.removeprefix("whsec_"),
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_" + "A" * 31,
        "whsec_" + "A" * 88,
        "whsec_!" + SECRET.removeprefix("whsec_"),
        "WHSEC_" + SECRET.removeprefix("whsec_"),
    ],
)
def test_weak_callback_secret_is_refused(value: str, env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signing secret needs its prefix and 24 to 64 bytes in base64; the sentence says how to make one."""
    monkeypatch.setenv("CALLBACK_SECRET", value)
    with pytest.raises(SystemExit, match=r"^chat_service: bad setting: CALLBACK_SECRET is not whsec_[^\n]*openssl"):
        load_settings(env_file)


@pytest.mark.parametrize("name", ["LLM_BASE_URL", "DAPR_HTTP_ENDPOINT"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("http://user:hunter2@m.test/v1", "user name or a password"),
        ("http://hunter2@m.test/v1", "user name or a password"),
        ("https://m.test/v1?key=hunter2", "a query or a fragment"),
        ("https://m.test/v1#hunter2", "a query or a fragment"),
        ("https://m.test/v1?", "a query or a fragment"),
        ("http://m.test /v1", "is not a URL"),
        ("http://m.test/hunter2\x07", "is not a URL"),
        ("http://bücher.test/v1", "is not a URL"),
        ("http://:80/v1", "is not a URL"),
        ("http://m.test:99999/v1", "[Pp]ort"),
        ("http://[::1/v1", "IPv6"),
        ("ftp://m.test", "pattern"),
    ],
)
def test_address_with_more_than_an_address_is_refused(
    name: str, value: str, problem: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address is written to the log, so it may hold no credentials and no query; a bad one is not shown."""
    monkeypatch.setenv("LLM_MODEL", "m")
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"^chat_service: bad setting: {name} [^\n]*{problem}[^\n]*$") as it:
        load_settings(env_file)
    assert "hunter2" not in str(it.value)


@pytest.mark.parametrize(
    "value", ["hooks.test/path", "https://hooks.test", "a@b.test", "h:0", "h:99999", "h:x", "a b", "["]
)
def test_host_that_is_none_is_refused(value: str, env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of CALLBACK_ALLOWED_HOSTS that could never match is refused."""
    monkeypatch.setenv("CALLBACK_SECRET", SECRET)
    monkeypatch.setenv("CALLBACK_ALLOWED_HOSTS", f"good.test,{value}")
    with pytest.raises(SystemExit, match=r"^chat_service: bad setting: CALLBACK_ALLOWED_HOSTS has [^\n]*host:port$"):
        load_settings(env_file)


def test_unused_openai_key_is_reported(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_API_KEY is not used; a line says what to set instead, unless that is set."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    (line,) = setting_hints(load_settings(env_file), env_file)
    assert "OPENAI_API_KEY is set, but this service does not use it: set LLM_API_KEY" in line
    assert "sk-1" not in line
    monkeypatch.setenv("LLM_API_KEY", "sk-2")
    monkeypatch.setenv("LLM_MODEL", "m")
    assert list(setting_hints(load_settings(env_file), env_file)) == []


def test_env_file_in_the_wrong_place_is_reported(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.env` beside `.env.example` is not read; a line names what it would set, unless it is set elsewhere."""
    beside = env_file.parent.parent / ".env"
    beside.write_text("GEMINI_API_KEY=k-1\nREDIS_PASSWORD=x\nLLM_MODEL=\n", encoding="utf-8")
    (line,) = setting_hints(load_settings(env_file), env_file)
    assert line.startswith("GEMINI_API_KEY: set in the .env file beside .env.example")
    assert "k-1" not in line
    monkeypatch.setenv("GEMINI_API_KEY", "k-2")
    assert list(setting_hints(load_settings(env_file), env_file)) == []
    beside.write_bytes(b"LLM_MODEL=\xff")
    assert list(setting_hints(load_settings(env_file), env_file)) == []


def test_example_has_every_setting_with_its_default() -> None:
    """`.env.example` names what an operator may set. Dapr sets the others; one exists only to be reported."""
    example = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=(.*)$", example, re.MULTILINE))
    not_shown = {"dapr_http_port", "dapr_http_endpoint", "dapr_api_token", "openai_api_key"}
    assert {name.lower() for name in shown} == set(Settings.model_fields) - not_shown
    defaults = {name: value for name, value in shown.items() if value and not name.startswith("LLM_")}
    issuer = {"oidc_issuer": "https://issuer.test", "oidc_audience": "chat"}  # what identity's defaults need
    read = Settings.model_validate(issuer | {name.lower(): value for name, value in defaults.items()})
    assert read == Settings.model_validate(issuer)


async def test_hints_are_logged_at_start(caplog: pytest.LogCaptureFixture) -> None:
    """The service starts in spite of them, and logs each as a warning."""
    app = create_app(Settings(openai_api_key=SecretStr("sk-1")))
    async with app.router.lifespan_context(app):
        lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any(line.startswith("OPENAI_API_KEY is set") for line in lines)


async def test_nothing_of_the_openai_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that were set for another program reach no endpoint."""
    marker = "not-for-this-endpoint"
    names = ["API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET", "BASE_URL", "DEFAULT_MODEL"]
    for name in names:
        monkeypatch.setenv(f"OPENAI_{name}", marker)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"x-own: {marker}\nauthorization: Bearer {marker}")
    asked: list[httpx2.Request] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(404)

    settings = Settings(llm_base_url="http://m.test/v1", llm_model="m")
    agent = ChatAgent(choose_provider(settings, httpx2.MockTransport(handle)), TOOLS)
    with pytest.raises(Exception, match="model_unknown"):
        await agent.reply(RunContext("alice", "", unused_memory()), [{"role": "user", "content": "Hello"}])
    (request,) = asked
    assert marker not in f"{request.url} {request.headers.raw} {request.content!r}"
    assert request.headers["authorization"] == "Bearer none"
