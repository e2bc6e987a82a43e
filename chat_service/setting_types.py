"""The kinds of values that settings have. A value that would fail later, in a request, is refused at the start."""

import base64
import binascii
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr
from pydantic_settings import NoDecode

MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
"""Length of the secret that signs callbacks, in bytes, as Standard Webhooks specifies."""
SECRET_PREFIX = "whsec_"
"""What such a secret begins with."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\]+)(?::([1-9][0-9]{0,4}))?")


def _stripped(value: object) -> object:
    """Without the blanks and line ends that copying adds; None if nothing is left."""
    return (value.strip() or None) if isinstance(value, str) else value


def _sendable(secret: SecretStr) -> SecretStr:
    """The secret without blanks around it, if it can be sent as a header."""
    text = secret.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has a blank, a line end or a character beyond ASCII in it: copy the key again")
    return SecretStr(text)


def _signing(secret: SecretStr) -> SecretStr:
    encoded = secret.get_secret_value().removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    has_prefix = secret.get_secret_value().startswith(SECRET_PREFIX)
    if not has_prefix or not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(
            f"is not {SECRET_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64: "
            f'make one with: echo "{SECRET_PREFIX}$(openssl rand -base64 {MIN_SECRET_BYTES})"'
        )
    return secret


def _plain_url(url: str) -> str:
    """An address and nothing more: it is written to the log, and paths are added at its end."""
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError if it is not a port
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname:
        raise ValueError("is not a URL in ASCII without blanks, such as http://127.0.0.1:11434/v1")
    if "@" in parts.netloc:
        raise ValueError("has a user name or a password in it: leave them out, a key has its own setting")
    if "?" in url or "#" in url:
        raise ValueError("has a query or a fragment: leave out what follows the path")
    return url


def _split_hosts(value: object) -> object:
    if isinstance(value, str):
        return tuple(host.strip() for host in value.split(",") if host.strip())
    return value


def _normalized_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_normalized_host(host) for host in hosts)


def _normalized_host(entry: str) -> str:
    """The entry as a URL's host is compared with it: in lower case, and in ASCII (punycode)."""
    found = _HOST_AND_PORT.fullmatch(entry)
    try:
        host = HttpUrl(f"http://{found[1]}").host if found else None
    except ValueError:
        host = None
    if found is None or host is None or int(found[2] or 1) > 65_535:
        raise ValueError(f"has {entry!r}, which is not host or host:port")
    return f"{host}:{found[2]}" if found[2] else host


Key = Annotated[SecretStr | None, BeforeValidator(_stripped), AfterValidator(lambda key: key and _sendable(key))]
"""A key that is sent in a header."""
SigningSecret = Annotated[
    SecretStr | None, BeforeValidator(_stripped), AfterValidator(lambda secret: secret and _signing(secret))
]
"""The secret that signs callbacks."""
Url = Annotated[str, BeforeValidator(_stripped), Field(pattern=r"^https?://[^\s/]+"), AfterValidator(_plain_url)]
"""The address of an HTTP API."""
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_hosts), AfterValidator(_normalized_hosts)]
"""Hosts, or hosts with a port, separated by commas."""
