"""Which model is asked, where, and with which key."""

from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr, ValidationError

from agent.chat_agent import ChatAgent
from agent.context import RunContext
from agent.provider import choose_provider
from agent.tools import TOOLS
from llm.connections import endpoint_transport
from settings import DEFAULT_MODEL, GEMINI_BASE_URL, OPENAI_BASE_URL, Settings, load_settings
from tests.model_server import Respond, serving
from tests.unused_memory import unused_memory

KEY, OTHER_KEY = SecretStr("k1"), SecretStr("k2")


@pytest.mark.parametrize(
    ("settings", "where", "key"),
    [
        (Settings(gemini_api_key=KEY), GEMINI_BASE_URL, "k1"),
        (Settings(gemini_api_key=KEY, llm_base_url="http://m.test/v1", llm_model="m"), "http://m.test/v1/", "none"),
        (
            Settings(gemini_api_key=KEY, llm_base_url="http://m.test/v1", llm_model="m", llm_api_key=OTHER_KEY),
            "http://m.test/v1/",
            "k2",
        ),
        (Settings(llm_api_key=KEY, llm_model="m"), OPENAI_BASE_URL, "k1"),
        (Settings(llm_base_url="http://m.test/v1", llm_model="m"), "http://m.test/v1/", "none"),
    ],
)
async def test_endpoint_and_key(settings: Settings, where: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is sent only to the endpoint it was set for; an endpoint without a key is asked too."""
    monkeypatch.setenv("OPENAI_API_KEY", "another-service's")
    asked: list[httpx2.Request] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(404)

    agent = ChatAgent(choose_provider(settings, httpx2.MockTransport(handle)), TOOLS)
    with pytest.raises(Exception, match="model_unknown"):
        await agent.reply(RunContext("alice", "", unused_memory()), [{"role": "user", "content": "Hello"}])
    assert str(asked[0].url) == f"{where.rstrip('/')}/chat/completions"
    assert asked[0].headers["authorization"] == f"Bearer {key}"


def test_gemini_is_the_default_model() -> None:
    """A Gemini key alone means the tutorial's provider, with a model that exists."""
    provider = choose_provider(Settings(gemini_api_key=KEY))
    assert (provider.name, provider.is_offline) == (DEFAULT_MODEL, False) == ("gemini-3.8-flash", False)


def test_nothing_set_is_offline() -> None:
    """Without key and base URL the offline model is used, and named."""
    provider = choose_provider(Settings())
    assert (provider.name, provider.is_offline) == ("offline", True)


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`GEMINI_API_KEY=` as in `.env.example` sets nothing."""
    monkeypatch.setenv("GEMINI_API_KEY", "")
    assert choose_provider(Settings()).is_offline


async def test_proxy_is_not_used_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint on this machine is not called through a proxy; another one is."""
    asked: list[str] = []

    def responding(name: str) -> Respond:
        async def respond(_body: bytes) -> bytes:
            asked.append(name)
            return b"{}"

        return respond

    async with serving(responding("proxy")) as proxy, serving(responding("endpoint")) as url:
        monkeypatch.setenv("http_proxy", proxy)
        for base_url in (url, "http://elsewhere.test/v1"):
            async with httpx2.AsyncClient(transport=endpoint_transport(base_url)) as client:
                assert (await client.post(base_url, content=b"{}")).status_code == 200
    assert asked == ["endpoint", "proxy"]


def test_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `.env` file sets what the environment does not."""
    file = tmp_path / ".env"
    file.write_text('GEMINI_API_KEY="from-file"\nLLM_MODEL=from-file\n', encoding="utf-8")
    monkeypatch.setenv("LLM_MODEL", "from-environment")
    settings = load_settings(file)
    assert settings.gemini_api_key is not None
    assert (settings.gemini_api_key.get_secret_value(), settings.llm_model) == ("from-file", "from-environment")
    assert load_settings(tmp_path / "absent").gemini_api_key is None


def test_unreadable_env_file_is_one_line(tmp_path: Path) -> None:
    """A `.env` that cannot be read, or is not text, stops the start with one line."""
    with pytest.raises(SystemExit, match=r"^chat_service: cannot read [^\n]+$"):
        load_settings(tmp_path)
    file = tmp_path / ".env"
    file.write_bytes(b"LLM_MODEL=\xff\xfe")
    with pytest.raises(SystemExit, match=r"^chat_service: cannot read [^\n]+$"):
        load_settings(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DAPR_HTTP_PORT", "x"),
        ("LLM_BASE_URL", "localhost"),
        ("LLM_BASE_URL", "http://h:abc/v1"),
        ("DAPR_HTTP_ENDPOINT", "http://h:abc"),
        ("CALLBACK_ALLOWED_HOSTS", "hooks.test"),
    ],
)
def test_bad_value_is_one_line(name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad value is reported in one line with the name of its setting."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=rf"^chat_service: bad setting: [^\n]*{name}[^\n]*$"):
        load_settings(tmp_path / ".env")


@pytest.mark.parametrize(("name", "value"), [("LLM_BASE_URL", "http://m.test/v1"), ("LLM_API_KEY", "k1")])
def test_other_endpoint_needs_its_model(name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model is Gemini's, so any other endpoint needs LLM_MODEL."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=r"^chat_service: bad setting: [^\n]*set LLM_MODEL[^\n]*$"):
        load_settings(tmp_path / ".env")
    monkeypatch.setenv("LLM_MODEL", "llama3.2")
    assert load_settings(tmp_path / ".env").llm_model == "llama3.2"


def test_sidecar_is_found_by_port_or_endpoint() -> None:
    """Dapr's environment variables give the sidecar's address."""
    assert Settings().sidecar_url == "http://127.0.0.1:3500"
    assert Settings(dapr_http_port=3600).sidecar_url == "http://127.0.0.1:3600"
    assert Settings(dapr_http_endpoint="https://dapr.test/").sidecar_url == "https://dapr.test"


def test_hosts_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allowed hosts are separated by commas."""
    monkeypatch.setenv("CALLBACK_ALLOWED_HOSTS", "A.test, b.test:9000,")
    monkeypatch.setenv("CALLBACK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert Settings().callback_allowed_hosts == ("a.test", "b.test:9000")


def test_secrets_are_not_shown() -> None:
    """Printing the settings shows no key."""
    with pytest.raises(ValidationError) as refused:
        Settings(llm_api_key=KEY, turn_timeout_seconds=-1)
    assert "k1" not in str(refused.value) + repr(Settings(llm_api_key=KEY, llm_model="m"))
