"""One exchange on the wire: a recorded request is sent byte for byte, and the response described as recorded."""

import hashlib
import http.client
import json
import re
import socket
import time
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Table = dict[str, Json]

RESPONSE_SECONDS = 30.0
"""How long a response may take. No recorded one took longer than five seconds."""
HASHED_ABOVE_BYTES = 2048
"""Longer bodies are recorded as length and hash."""
NOTICEABLE_SECONDS = 0.15
"""A response that takes longer can be seen to arrive in parts."""

KEPT_HEADERS = re.compile(
    "allow|cache-control|content-encoding|content-type|etag|idempotency-key|keep-alive|location|proxy-authenticate"
    "|retry-after|server|set-cookie|te|tracestate|upgrade|vary|www-authenticate|x-custom|x-request-id"
    r"|metadata\..*|dapr-.*"
)


@dataclass(frozen=True)
class Response:
    """A response. `early`: its first part came in the first half of the time."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    early: bool = False

    def header(self, name: str) -> str:
        """The first value of a header."""
        return next((value for known, value in self.headers if known.lower() == name), "")


def send(base: str, request: Table, cut_after_seconds: float | None = None) -> Response:
    """Send a recorded request. With `cut_after_seconds`, close so long after the first byte of the response."""
    address = urlsplit(base)
    with socket.create_connection((address.hostname, address.port or 80), RESPONSE_SECONDS) as connection:
        connection.sendall(request_bytes(request, address.netloc))
        response = http.client.HTTPResponse(connection, method=str(request["method"]))
        response.begin()
        if cut_after_seconds is None:
            return Response(response.status, response.getheaders(), *_parts(response))
        response.read1(1)
        time.sleep(cut_after_seconds)
        connection.shutdown(socket.SHUT_RDWR)
        return Response(response.status, response.getheaders(), b"")


def request_bytes(request: Table, host: str) -> bytes:
    """The bytes of a recorded request: only a length is added, and the path is not changed."""
    body = _body(request)
    given = request.get("headers")
    headers = {"Host": host, "Accept-Encoding": "identity", **(given if isinstance(given, dict) else {})}
    if "text" not in request and body is not None and "content-type" not in map(str.lower, headers):
        headers["Content-Type"] = "application/json"
    if request.get("chunked"):
        headers["Transfer-Encoding"] = "chunked"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body or b""), body or b"")
    elif body is not None or request["method"] in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(body or b""))
    lines = [
        f"{request['method']} {request['path']} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def described(response: Response, variables: "Variables", as_text: bool) -> Table:
    """The response as it is recorded: the headers that matter, and variables for what changes from run to run."""
    headers: dict[str, Json] = {}
    for name, value in ((name.lower(), variables.text(value)) for name, value in response.headers):
        if KEPT_HEADERS.fullmatch(name):
            headers[name] = f"{headers[name]} | {value}" if name in headers else value
    return {"status": response.status, "headers": headers, **_described_body(response.body, variables, as_text)}


class Variables:
    """Puts the recording's variables where this run has names, addresses and times of its own."""

    _PATTERNS = (
        ("${uuid}", re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")),
        ("${time}", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)")),
        ("${addr}", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?![\d.])|\[::1?\](?::\d+)?")),
        ("${host}", re.compile(rf"(?<![\w-]){re.escape(socket.gethostname())}(?![\w-])")),
    )
    _TRACE = re.compile(r"\b00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\b")

    def __init__(self, values: dict[str, str], sent: Table) -> None:
        named = [(name, values.get(name, "")) for name in ("p", "callee", "down", "self")]
        self._named = sorted((pair for pair in named if pair[1]), key=lambda pair: -len(pair[1]))
        self._sent = json.dumps(sent)

    def text(self, text: str) -> str:
        """The text with variables in the place of what changes."""
        for name, value in self._named:
            text = text.replace(value, f"${{{name}}}")
        text = self._TRACE.sub(self._trace, text)
        for variable, pattern in self._PATTERNS:
            text = pattern.sub(lambda found: found[0] if found[0] in self._sent else variable, text)  # noqa: B023
        return text

    def _trace(self, found: re.Match[str]) -> str:
        if not found[1].strip("0"):
            return found[0]
        return f"00-{found[1] if found[1] in self._sent else '${trace}'}-${{span}}-{found[3]}"


def _parts(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    start = time.perf_counter()
    parts: list[bytes] = []
    first = 0.0
    while part := response.read1(65536):
        first = first or time.perf_counter() - start
        parts.append(part)
    total = time.perf_counter() - start
    return b"".join(parts), total > NOTICEABLE_SECONDS and 0 < first < total / 2


def _body(request: Table) -> bytes | None:
    if "body" in request:
        return json.dumps(request["body"], ensure_ascii=False, separators=(",", ":")).encode()
    fill = request.get("fill")
    if isinstance(fill, dict):
        count = fill["count"]
        assert isinstance(count, int)
        return f"{fill.get('prefix', '')}{str(fill['char']) * count}{fill.get('suffix', '')}".encode()
    return str(request["text"]).encode() if "text" in request else None


def _described_body(body: bytes, variables: Variables, as_text: bool) -> Table:
    if len(body) > HASHED_ABOVE_BYTES:
        return {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    text = variables.text(body.decode("utf-8", "backslashreplace"))
    try:
        return {"text": text} if as_text else {"body": json.loads(text)}
    except ValueError:
        return {"text": text}
