"""Which URLs may be called back, and which of them have the same receiver. Hosts are compared in ASCII (punycode)."""

from pydantic import HttpUrl

from errors import CallbackNotAllowed
from settings import Settings

_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_callback_url(url: str | None, settings: Settings) -> None:
    """Raises CallbackNotAllowed if the settings do not allow the URL's host, or if the URL carries credentials."""
    if url is None:
        return
    parsed = HttpUrl(url)
    host = parsed.host or ""
    names = {f"{host}:{parsed.port}"} | ({host} if parsed.port == _DEFAULT_PORTS[parsed.scheme] else set())
    if parsed.username or parsed.password or names.isdisjoint(settings.callback_allowed_hosts):
        raise CallbackNotAllowed


def origin_of(url: str) -> str:
    """The receiver of the URL: scheme, host and port."""
    parsed = HttpUrl(url)
    return f"{parsed.scheme}://{parsed.host}:{parsed.port}"
